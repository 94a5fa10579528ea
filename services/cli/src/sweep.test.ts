import { expect, test } from 'vitest'
import { isSweep, sweep } from './sweep.ts'

test('an item is made for each combination, and its name says which', () => {
  const given = {
    scheduler: 'DDIMScheduler, DPM++ 2M Karras',
    numInferenceSteps: '10,20',
    checkpoint: 'emoji-sd',
    seed: '7',
  }
  expect(isSweep(given)).toBe(true)
  const { items, defaults } = sweep(['a cat', 'a dog'], given)
  expect(items).toHaveLength(8)
  expect(items[0]).toEqual({
    customId: 'p0 DDIMScheduler 10',
    prompt: 'a cat',
    scheduler: 'DDIMScheduler',
    numInferenceSteps: 10,
  })
  expect(items.at(-1)).toMatchObject({ customId: 'p1 DPM++ 2M Karras 20', prompt: 'a dog' })
  expect(new Set(items.map(({ customId }) => customId)).size).toBe(8)
  expect(defaults).toEqual({ checkpoint: 'emoji-sd', seed: '7' })
})

test('a range of seeds is as many items', () => {
  const { items } = sweep(['a cat'], { seed: '0-3,9' })
  expect(items.map(({ seed }) => seed)).toEqual([0, 1, 2, 3, 9])
  expect(sweep([], { seed: '1-2' }).items).toEqual([
    { customId: '1', seed: 1 },
    { customId: '2', seed: 2 },
  ])
})

test('one value of each is no sweep', () => {
  expect(isSweep({ scheduler: 'DDIMScheduler', seed: '7', negativePrompt: 'a, b' })).toBe(false)
})

test('more than anybody means is refused', () => {
  expect(() => sweep(['x'], { seed: '0-9999', numInferenceSteps: '1-20' })).toThrow('200000 items')
})
