import { create } from '@bufbuild/protobuf'
import { PreviewSchema } from '@darkroom/proto'
import type { Preview } from '@darkroom/proto'
import { expect, test } from 'vitest'
import { Watchers } from './watchers.ts'

test('a watcher is woken at once, once for many changes, and for the last one', async () => {
  const watchers = new Watchers()
  const stop = new AbortController()
  const wakes = watchers.watch('b1', stop.signal)
  expect((await wakes.next()).done).toBe(false)
  const second = wakes.next()
  for (let n = 0; n < 100; n++) watchers.changed('b1')
  expect((await second).done).toBe(false)
  // In the pause after it was woken.
  const third = wakes.next()
  watchers.changed('b1')
  expect((await third).done).toBe(false)
  const fourth = wakes.next()
  watchers.changed('b2')
  stop.abort()
  expect((await fourth).done).toBe(true)
})

test('a watcher of any batch is woken when all have changed', async () => {
  const watchers = new Watchers()
  const stop = new AbortController()
  const wakes = watchers.watch('b1', stop.signal)
  await wakes.next()
  const second = wakes.next()
  watchers.allChanged()
  expect((await second).done).toBe(false)
  stop.abort()
  expect((await wakes.next()).done).toBe(true)
})

const previewOf = (batchId: string, item: number, step: number): Preview =>
  create(PreviewSchema, { batchId, shardId: 's1', item, image: 0, step, steps: 50, jpeg: Uint8Array.of(step) })

test('previews reach those who watch their batch, the newest of each image, and are then gone', async () => {
  const watchers = new Watchers()
  const stop = new AbortController()
  const [mine, another] = ['b1', 'b2'].map((id) => watchers.watch(id, stop.signal))
  expect((await mine!.next()).value).toEqual([])
  await another!.next()
  for (const [item, step] of [
    [0, 1],
    [1, 1],
    [0, 2],
  ] as const)
    watchers.previewed(previewOf('b1', item, step), true)
  const { value: previews } = await mine!.next()
  expect((previews as Preview[]).map(({ item, step }) => [item, step])).toEqual([
    [0, 2],
    [1, 1],
  ])
  watchers.changed('b1')
  expect((await mine!.next()).value).toEqual([])
  watchers.changed('b2')
  expect((await another!.next()).value).toEqual([])
  stop.abort()
})

test('a watcher that is too slow misses previews of the images that waited longest', async () => {
  const watchers = new Watchers()
  const stop = new AbortController()
  const wakes = watchers.watch('b1', stop.signal)
  await wakes.next()
  for (let item = 0; item < 1_000; item++) watchers.previewed(previewOf('b1', item, 1), true)
  const { value: previews } = await wakes.next()
  expect((previews as Preview[]).map(({ item }) => item)).toEqual(Array.from({ length: 16 }, (_, i) => 984 + i))
  stop.abort()
})

/** What somebody who comes now is shown first: items and steps. */
async function firstSeen(watchers: Watchers, batchId: string): Promise<readonly (readonly [number, number])[]> {
  const stop = new AbortController()
  const { value } = await watchers.watch(batchId, stop.signal).next()
  stop.abort()
  return (value as Preview[]).map(({ item, step }) => [item, step])
}

test('who comes later is first shown the newest preview of each image of the batch, until its shard ends', async () => {
  const watchers = new Watchers()
  for (const [batchId, item, step] of [
    ['b1', 0, 1],
    ['b1', 1, 1],
    ['b2', 7, 1],
    ['b1', 0, 2],
  ] as const)
    watchers.previewed(previewOf(batchId, item, step), true)
  expect(await firstSeen(watchers, 'b1')).toEqual([
    [1, 1],
    [0, 2],
  ])
  watchers.shardEnded('b1', 's2')
  expect(await firstSeen(watchers, 'b1')).toHaveLength(2)
  watchers.shardEnded('b1', 's1')
  expect(await firstSeen(watchers, 'b1')).toEqual([])
  expect(await firstSeen(watchers, 'b2')).toEqual([[7, 1]])
  watchers.leadershipLost()
  expect(await firstSeen(watchers, 'b2')).toEqual([])
})

test('previews are kept of so many images at most, and of none whose shard has ended', async () => {
  const watchers = new Watchers()
  for (let item = 0; item < 1_000; item++) watchers.previewed(previewOf('b1', item, 1), true)
  watchers.previewed(previewOf('b1', 1_000, 1), false)
  expect((await firstSeen(watchers, 'b1')).map(([item]) => item)).toEqual(
    Array.from({ length: 128 }, (_, i) => 872 + i),
  )
})
