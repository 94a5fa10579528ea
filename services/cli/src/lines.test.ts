import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { linesOf } from './lines.ts'

const read = (...chunks: Buffer[]): Promise<string[]> => Array.fromAsync(linesOf(Readable.from(chunks)))

test('a line ends at \\n and at nothing else', async () => {
  const lines = await read(Buffer.from('a\u2028b\rc\nd\n\ne'))
  expect(lines).toEqual(['a\u2028b\rc', 'd', '', 'e'])
})

test('chunks may end anywhere, in the middle of a letter too', async () => {
  const bytes = Buffer.from('größe\nöl\n')
  const single = [...bytes].map((byte) => Buffer.from([byte]))
  expect(await read(...single)).toEqual(['größe', 'öl'])
})

test('an empty stream has no lines', async () => {
  expect(await read()).toEqual([])
})
