import { expect, test } from 'vitest'
import { batchNotes, isWhole } from './batch-notes.ts'
import { batchJson } from './gateway.harness.ts'

test('of a batch in which all is well there is nothing to say', () => {
  expect(batchNotes(batchJson())).toEqual([])
  expect(isWhole(batchJson())).toBe(true)
})

test('what failed, what was flagged and what has warnings is counted, each in a line of its own', () => {
  const items = { open: 0, rendered: 3, failed: 1, cancelled: 2 }
  const notes = batchNotes(batchJson({ items, imagesFailed: 4, imagesFlagged: 5, itemsWarned: 6 }))
  expect(notes.map((note) => note.slice(0, 24))).toEqual([
    '1 items failed, 2 were c',
    '4 images of rendered ite',
    '5 images are black: the ',
    '6 items have warnings, s',
  ])
})

test('a batch that lacks an item or an image is not whole; black pictures and warnings take nothing from it', () => {
  expect(isWhole(batchJson({ items: { open: 0, rendered: 1, failed: 1, cancelled: 0 } }))).toBe(false)
  expect(isWhole(batchJson({ imagesFailed: 1 }))).toBe(false)
  expect(isWhole(batchJson({ imagesFlagged: 1, itemsWarned: 1 }))).toBe(true)
})
