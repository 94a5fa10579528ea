import { DarkroomError } from '@darkroom/chassis'
import type { Problems } from '../field-problems.ts'
import { lineBlocks, lineTooLong } from './line-blocks.ts'

const MAX_BYTES_PER_UTF16_UNIT = 3

/** Takes the lines of a body as they come: an intake, or what makes items of them first. */
export interface LineTaker {
  readonly problems: Problems
  /** @param position 1-based line */
  add(value: unknown, position: number): Promise<void> | undefined
}

/**
 * Reads the items of an NDJSON body, one object a line, blank lines skipped, at the pace of the object store. What is wrong
 * with the body becomes problems of the intake.
 */
export async function readNdjson(body: AsyncIterable<Buffer>, intake: LineTaker, maxLineBytes: number): Promise<void> {
  try {
    await readLines(body, intake, maxLineBytes)
  } catch (reason) {
    const problems = reason instanceof DarkroomError && reason.code === 'INVALID_REQUEST' ? reason.problems : []
    if (problems.length === 0) throw reason
    for (const problem of problems) intake.problems.add(problem)
  }
}

async function readLines(body: AsyncIterable<Buffer>, intake: LineTaker, maxLineBytes: number): Promise<void> {
  for await (const { text, firstLine } of lineBlocks(body, maxLineBytes)) {
    let line = firstLine
    for (let start = 0; start < text.length; line++) {
      const newline = text.indexOf('\n', start)
      const end = newline === -1 ? text.length : newline
      const content = text.slice(start, end)
      start = end + 1
      if (content.length > maxLineBytes / MAX_BYTES_PER_UTF16_UNIT && Buffer.byteLength(content) > maxLineBytes) {
        throw lineTooLong(line, maxLineBytes)
      }
      const value = parseLine(content, line, intake)
      if (value !== undefined) {
        const waiting = intake.add(value, line)
        if (waiting !== undefined) await waiting
      }
      if (intake.problems.isFull) return
    }
  }
}

/** Undefined for a blank line, and for a broken one, which becomes a problem. */
function parseLine(content: string, line: number, intake: LineTaker): unknown {
  try {
    return JSON.parse(content)
  } catch (reason) {
    if (content.trim() !== '') {
      const message = `the line is no JSON object, or was cut off: ${(reason as SyntaxError).message}`
      intake.problems.add({ line, message })
    }
    return undefined
  }
}
