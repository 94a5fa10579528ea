import { expect, test } from 'vitest'
import { Heap } from './heap.ts'

test('hands members out in order, whatever was added, changed and deleted before', () => {
  const heap = new Heap<{ rank: number }>((a, b) => a.rank < b.rank)
  const items = Array.from({ length: 500 }, (_, n) => ({ rank: (n * 7919) % 503 }))
  for (const item of items) heap.put(item)
  for (const [n, item] of items.entries()) {
    if (n % 3 === 0) heap.delete(item)
    if (n % 3 !== 1) continue
    item.rank = (n * 104_729) % 509
    heap.put(item)
  }
  const left = items.filter((_, n) => n % 3 !== 0)
  const drained: number[] = []
  for (let first = heap.first; first !== undefined; first = heap.first) {
    drained.push(first.rank)
    heap.delete(first)
  }
  expect(drained).toEqual(left.map(({ rank }) => rank).toSorted((a, b) => a - b))
  expect(heap.size).toBe(0)
})

test('shows its members in order without a change, and looks no further than it is asked', () => {
  let comparisons = 0
  const heap = new Heap<number>((a, b) => {
    comparisons++
    return a < b
  })
  const items = Array.from({ length: 500 }, (_, n) => (n * 7919) % 503)
  for (const item of items) heap.put(item)
  expect([...heap.inOrder()]).toEqual(items.toSorted((a, b) => a - b))
  comparisons = 0
  expect([...heap.inOrder().take(4)]).toEqual(items.toSorted((a, b) => a - b).slice(0, 4))
  expect(comparisons).toBeLessThan(32)
  expect(heap.size).toBe(500)
  expect([...new Heap<number>(() => false).inOrder()]).toEqual([])
})

test('deleting what is no member changes nothing', () => {
  const heap = new Heap<{ rank: number }>((a, b) => a.rank < b.rank)
  const only = { rank: 1 }
  heap.put(only)
  heap.delete({ rank: 1 })
  expect(heap.first).toBe(only)
  expect(heap.has(only)).toBe(true)
})
