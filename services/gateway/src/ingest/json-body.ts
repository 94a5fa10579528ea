import { isUtf8 } from 'node:buffer'
import { DarkroomError } from '@darkroom/chassis'

const MAX_DEPTH = 16
const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPENING = new Set([0x5b, 0x7b])
const CLOSING = new Set([0x5d, 0x7d])

/**
 * Parses a JSON body; undefined where there is none.
 * @throws DarkroomError INVALID_REQUEST: not UTF-8, nested deeper than any batch, or no JSON
 */
export function parseJsonBody(body: Buffer): unknown {
  if (body.length === 0) return undefined
  if (!isUtf8(body)) throw invalid('the body is not UTF-8: send it in that encoding')
  // Before the parser: a megabyte of brackets costs it a hundred of memory.
  if (isTooDeep(body)) throw invalid(`the JSON is nested deeper than ${MAX_DEPTH} levels: a batch needs four`)
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (reason) {
    throw invalid(`the body is not JSON, or was cut off: ${(reason as SyntaxError).message}`)
  }
}

function isTooDeep(body: Buffer): boolean {
  let depth = 0
  for (let i = 0; i < body.length; i++) {
    const byte = body[i]!
    if (byte === QUOTE) {
      for (i++; i < body.length && body[i] !== QUOTE; i++) if (body[i] === BACKSLASH) i++
    } else if (OPENING.has(byte)) {
      if (++depth > MAX_DEPTH) return true
    } else if (CLOSING.has(byte)) depth--
  }
  return false
}

function invalid(message: string): DarkroomError {
  return new DarkroomError('INVALID_REQUEST', message, { problems: [{ message }] })
}
