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
  const blockOf = (bytes: Buffer): LineBlock => {
    if (!isUtf8(bytes)) throw notUtf8(bytes, firstLine)
    return { text: bytes.toString('utf8'), firstLine }
  }
  for await (const chunk of body) {
    const end = chunk.lastIndexOf(LF) + 1
    if (end > 0) {
      const head = chunk.subarray(0, end)
      const block = blockOf(waiting.length === 0 ? head : Buffer.concat([...waiting, head]))
      yield block
      firstLine += countLines(block.text)
      waiting = []
      waitingBytes = 0
    }
    if (end < chunk.length) {
      waiting.push(chunk.subarray(end))
      waitingBytes += chunk.length - end
      if (waitingBytes > maxLineBytes) throw lineTooLong(firstLine, maxLineBytes)
    }
  }
  if (waitingBytes > 0) yield blockOf(Buffer.concat(waiting))
}

export function lineTooLong(line: number, maxLineBytes: number): DarkroomError {
  const message = `the line is longer than ${maxLineBytes} bytes: shorten it, or put a newline after each item`
  return new DarkroomError('INVALID_REQUEST', `line ${line} is too long`, { problems: [{ line, message }] })
}

function countLines(text: string): number {
  let count = 0
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) count++
  return count
}

function notUtf8(bytes: Buffer, firstLine: number): DarkroomError {
  let line = firstLine
  for (let start = 0; start < bytes.length; line++) {
    const end = bytes.indexOf(LF, start) + 1 || bytes.length
    if (!isUtf8(bytes.subarray(start, end))) break
    start = end
  }
  const message = 'the line is not UTF-8: save the file in that encoding'
  return new DarkroomError('INVALID_REQUEST', `line ${line} is not UTF-8`, { problems: [{ line, message }] })
}
