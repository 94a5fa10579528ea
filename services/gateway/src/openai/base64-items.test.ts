import { expect, test } from 'vitest'
import { Base64Items } from './base64-items.ts'

test('items that were added are found again in what was stored, and no others', () => {
  const wanted = [0, 7, 8, 511, 512, 1_000_000]
  const items = new Base64Items()
  for (const index of wanted) items.add(index)
  const read = new Base64Items(items.bits!)
  expect(Array.from({ length: 1_000_100 }, (_, index) => index).filter((index) => read.has(index))).toEqual(wanted)
  expect(read.has(2_000_000)).toBe(false)
})

test('where no item was added there is nothing to store', () => {
  expect(new Base64Items().bits).toBeNull()
})
