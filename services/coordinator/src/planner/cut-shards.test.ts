import type { ItemLine } from '@darkroom/proto'
import { expect, test } from 'vitest'
import { CostModel, unitsOf } from './cost-model.ts'
import { cutShards } from './cut-shards.ts'
import type { CutOptions } from './cut-shards.ts'

const OPTIONS: CutOptions = { segment: 3, targetSeconds: 10, workers: 1, isLast: false }

function itemsOf(count: number, change: (index: number) => Partial<ItemLine> = () => ({})): ItemLine[] {
  return Array.from({ length: count }, (_, index) => ({
    index,
    customId: `item-${index}`,
    task: 'text-to-image',
    checkpoint: 'emoji-sd',
    prompt: 'a red apple',
    negativePrompt: '',
    width: 64,
    height: 64,
    scheduler: 'DDIMScheduler',
    schedulerConfig: {},
    numInferenceSteps: 20,
    guidanceScale: 3,
    eta: 0,
    seed: index,
    numImages: 1,
    ...change(index),
  }))
}

function learn(model: CostModel, item: ItemLine, seconds: number): void {
  const { checkpoint, scheduler } = item
  model.learn({ checkpoint, deviceKind: null }, scheduler, unitsOf(item), seconds)
}

/** A model to which each of the items is a second's work. */
function secondEach(items: readonly ItemLine[]): CostModel {
  const model = new CostModel()
  for (const checkpoint of new Set(items.map((item) => item.checkpoint)))
    learn(
      model,
      items.find((item) => item.checkpoint === checkpoint)!,
      1,
    )
  return model
}

test('each item is in exactly one shard, in order, and ids name segment and number', () => {
  const items = itemsOf(95)
  const shards = cutShards(items, secondEach(items), OPTIONS)
  expect(shards.flatMap((shard) => shard.items)).toEqual(items.map(({ index }) => index))
  expect(shards.map(({ id }) => id)).toEqual(Array.from({ length: 10 }, (_, n) => `00003-0000${n}`))
  expect(shards.every((shard) => shard.items.length <= OPTIONS.targetSeconds)).toBe(true)
})

test('items of another checkpoint, task, size or refiner are in another shard', () => {
  const kinds = [{}, { width: 128 }, { checkpoint: 'emoji-xl' }, { height: 128 }, { refiner: 'emoji-xl' }]
  const items = itemsOf(10, (index) => kinds[index % 5]!)
  const shards = cutShards(items, new CostModel(), OPTIONS)
  expect(shards.map((shard) => shard.items)).toEqual([
    [0, 5],
    [1, 6],
    [2, 7],
    [3, 8],
    [4, 9],
  ])
  expect(shards[1]).toMatchObject({ width: 128, height: 64, checkpoint: 'emoji-sd', task: 'text-to-image' })
})

test('the last segment is cut so small that every worker has shards to the end', () => {
  const items = itemsOf(48)
  const model = secondEach(items)
  const whole = cutShards(items, model, { ...OPTIONS, workers: 4 })
  const last = cutShards(items, model, { ...OPTIONS, workers: 4, isLast: true })
  expect(whole).toHaveLength(5)
  expect(last).toHaveLength(16)
})

test('a shard of long prompts is cut by its bytes', () => {
  const items = itemsOf(40, () => ({ prompt: 'x'.repeat(10_000) }))
  const model = new CostModel()
  learn(model, items[0]!, 0.001)
  const shards = cutShards(items, model, OPTIONS)
  expect(shards.map((shard) => shard.items.length)).toEqual([6, 6, 6, 6, 6, 6, 4])
})

test('a shard of long schedules is cut by its bytes', () => {
  const items = itemsOf(40, () => ({ timesteps: Array.from({ length: 1000 }, (_, i) => 1000 - i) }))
  const model = new CostModel()
  learn(model, items[0]!, 0.001)
  const shards = cutShards(items, model, OPTIONS)
  expect(shards.map((shard) => shard.items.length)).toEqual([7, 7, 7, 7, 7, 5])
})

test('an item that is more than a shard on its own is a shard on its own', () => {
  const items = itemsOf(3, (index) => (index === 1 ? { numInferenceSteps: 2_000 } : {}))
  const shards = cutShards(items, secondEach(items), OPTIONS)
  expect(shards.map((shard) => shard.items)).toEqual([[0], [1], [2]])
})

test('shards grow as a checkpoint turns out to be quicker than was thought', () => {
  const items = itemsOf(512)
  const model = secondEach(items)
  expect(cutShards(items, model, OPTIONS)).toHaveLength(52)
  for (let n = 0; n < 100; n++) learn(model, items[0]!, 0.1)
  expect(cutShards(items, model, OPTIONS)).toHaveLength(6)
})

test('no shard has items on both sides of where somebody is asked, and the first are spread over the workers', () => {
  const items = itemsOf(40)
  const options = { ...OPTIONS, workers: 4, approveAfter: 15 }
  const shards = cutShards(items, secondEach(items), options)
  expect(shards.flatMap((shard) => shard.items)).toEqual(items.map(({ index }) => index))
  const first = shards.filter((shard) => shard.items[0]! < 15)
  expect(first.flatMap((shard) => shard.items)).toEqual(items.slice(0, 15).map(({ index }) => index))
  expect(first.length).toBeGreaterThanOrEqual(options.workers)
  expect(shards.map(({ id }) => id)).toEqual(shards.map((_, n) => `00003-${String(n).padStart(5, '0')}`))
})
