import { createHash, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { inParts } from './upload-parts.ts'

const PART = 8 * 1024 * 1024
const content = randomBytes(3.5 * PART)

async function* inChunks(size: number): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < content.length; from += size) yield content.subarray(from, from + size)
}

test.for([65_536, 1_000_003, PART, 2 * PART + 1, content.length])(
  'a stream in chunks of %d bytes is what its parts are one after the other, each of one size but the last',
  async (size) => {
    const hash = createHash('sha256')
    const sizes: number[] = []
    let told = 0
    for await (const part of inParts(inChunks(size), ({ length }) => (told += length))) {
      hash.update(part)
      sizes.push(part.length)
    }
    expect(sizes).toEqual([PART, PART, PART, PART / 2])
    expect(told).toBe(content.length)
    expect(hash.digest('hex')).toBe(createHash('sha256').update(content).digest('hex'))
  },
)

test('a part is good while one more is asked for', async () => {
  const parts = inParts(inChunks(65_536), () => {})
  const [first, second] = [(await parts.next()).value!, (await parts.next()).value!]
  expect(first.equals(content.subarray(0, PART))).toBe(true)
  expect(second.equals(content.subarray(PART, 2 * PART))).toBe(true)
})

test('a stream of less than a part is one part, and an empty one none', async () => {
  async function* small() {
    yield Buffer.from('ab')
    yield Buffer.from('c')
  }
  async function* none() {}
  expect(await Array.fromAsync(inParts(small(), () => {}))).toEqual([Buffer.from('abc')])
  expect(await Array.fromAsync(inParts(none(), () => {}))).toEqual([])
})
