import { isUtf8 } from 'node:buffer'
import { DarkroomError } from '@darkroom/chassis'

const LF = 0x0a

/** Whole lines of a body, decoded at one go: no buffer and no promise for any single line. */
export interface LineBlock {
  readonly text: string
  /** 1-based. */
  readonly firstLine: number
}

/**
 * Cuts a byte stream into blocks of whole lines. Holds one chunk and at most one unfinished line.
 * @throws DarkroomError INVALID_REQUEST that names the line: longer than `maxLineBytes`, or not UTF-8
 */
export async function* lineBlocks(body: AsyncIterable<Buffer>, maxLineBytes: number): AsyncGenerator<LineBlock> {
  let firstLine = 1
  let waiting: Buffer[] = []
  let waitingBytes = 0
  const blocksOf = function* (bytes: Buffer): Generator<LineBlock> {
    const good = isUtf8(bytes) ? bytes : bytes.subarray(0, startOfBrokenLine(bytes))
    const text = good.toString('utf8')
    if (text !== '') yield { text, firstLine }
    firstLine += countLines(text)
    if (good !== bytes) throw notUtf8(firstLine)
  }
  for await (const chunk of body) {
    const end = chunk.lastIndexOf(LF) + 1
    if (end > 0) {
      const head = chunk.subarray(0, end)
      yield* blocksOf(waiting.length === 0 ? head : Buffer.concat([...waiting, head]))
      waiting = []
      waitingBytes = 0
    }
    if (end < chunk.length) {
      waiting.push(chunk.subarray(end))
      waitingBytes += chunk.length - end
      if (waitingBytes > maxLineBytes) throw lineTooLong(firstLine, maxLineBytes)
    }
  }
  if (waitingBytes > 0) yield* blocksOf(Buffer.concat(waiting))
}

export function lineTooLong(line: number, maxLineBytes: number): DarkroomError {
  const message = `the line is longer than ${maxLineBytes} bytes: upload large pictures first, and put a newline after each item`
  return new DarkroomError('INVALID_REQUEST', `line ${line} is too long`, { problems: [{ line, message }] })
}

function countLines(text: string): number {
  let count = 0
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) count++
  return count
}

function startOfBrokenLine(bytes: Buffer): number {
  let start = 0
  for (;;) {
    const end = bytes.indexOf(LF, start) + 1 || bytes.length
    if (end === bytes.length || !isUtf8(bytes.subarray(start, end))) return start
    start = end
  }
}

function notUtf8(line: number): DarkroomError {
  const message = 'the line is not UTF-8: save the file in that encoding'
  return new DarkroomError('INVALID_REQUEST', `line ${line} is not UTF-8`, { problems: [{ line, message }] })
}
