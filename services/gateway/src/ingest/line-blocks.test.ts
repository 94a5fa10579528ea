import { expect, test } from 'vitest'
import { lineBlocks } from './line-blocks.ts'

async function* chunksOf(body: Buffer, bytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < body.length; at += bytes) yield body.subarray(at, at + bytes)
}

async function linesOf(body: Buffer, bytes: number, maxLineBytes = 1000): Promise<[number, string][]> {
  const lines: [number, string][] = []
  for await (const { text, firstLine } of lineBlocks(chunksOf(body, bytes), maxLineBytes)) {
    const block = text.split('\n')
    if (block.at(-1) === '') block.pop()
    block.forEach((line, i) => lines.push([firstLine + i, line]))
  }
  return lines
}

const body = Buffer.from('one\nzwölf\n\n日本\r\nthe end 😀')
const lines = [
  [1, 'one'],
  [2, 'zwölf'],
  [3, ''],
  [4, '日本\r'],
  [5, 'the end 😀'],
]

test.for([1, 2, 3, 5, 7, 100])('lines are the same whether they come in chunks of %i bytes', async (bytes) => {
  expect(await linesOf(body, bytes)).toEqual(lines)
})

test('an empty body has no lines', async () => {
  expect(await linesOf(Buffer.alloc(0), 10)).toEqual([])
})

test('a line that is not UTF-8 is refused by its number', async () => {
  const broken = Buffer.concat([Buffer.from('fine\nfine\n'), Buffer.from([0x61, 0xff, 0x0a]), Buffer.from('fine\n')])
  await expect(linesOf(broken, 100)).rejects.toMatchObject({ code: 'INVALID_REQUEST', problems: [{ line: 3 }] })
})

test('a line without end is refused before it fills the memory', async () => {
  let sent = 0
  const endless = async function* (): AsyncGenerator<Buffer> {
    yield Buffer.from('fine\n')
    for (;;) {
      sent += 100
      yield Buffer.alloc(100, 'x')
    }
  }
  const reading = (async () => {
    for await (const _ of lineBlocks(endless(), 1000));
  })()
  await expect(reading).rejects.toMatchObject({ code: 'INVALID_REQUEST', problems: [{ line: 2 }] })
  expect(sent).toBeLessThanOrEqual(1100)
})
