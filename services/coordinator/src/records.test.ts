import type { CommitRecord, ItemResult } from '@darkroom/proto'
import { expect, test } from 'vitest'
import { summariseRecord } from './records.ts'

const BASE = { batchId: 'b', shardId: 's', attempt: 1, committedAt: '2026-11-23T00:00:00.000Z' }

type Rendered = Extract<ItemResult, { state: 'rendered' }>

function itemOf(index: number, changes: Partial<Rendered> = {}): Rendered {
  const image = { n: 0, seed: 0, name: 'x.png', sha256: 'x', bytes: 1, width: 8, height: 8 }
  const shared = { customId: `item-${index}`, scheduler: 'DDIMScheduler', numInferenceSteps: 20 }
  return { index, state: 'rendered', ...shared, steps: 6, images: [image], seconds: 1, warnings: [], ...changes }
}

function recordOf(items: readonly ItemResult[]): CommitRecord {
  const rendered = { workerId: 'w', checkpoint: 'c', startedAt: BASE.committedAt, deviceSeconds: 3 }
  return { ...BASE, kind: 'rendered', ...rendered, items }
}

test('the steps that were run are counted, not those that were asked for', () => {
  const { schedulers } = summariseRecord(recordOf([itemOf(0), itemOf(1, { steps: 7 })]))
  expect(schedulers).toEqual([{ scheduler: 'DDIMScheduler', images: 2, steps: 13, seconds: 2 }])
})

test('of a record from before steps were counted, those that were asked for are', () => {
  const { steps: _, ...before } = itemOf(0)
  expect(summariseRecord(recordOf([before])).schedulers).toMatchObject([{ steps: 20 }])
})

test('images that failed, were flagged or came with a warning are counted beside those that are there', () => {
  const [image] = itemOf(0).images
  const failedImages = [{ n: 2, seed: 2, code: 'RENDER_FAILED', message: 'is black' }]
  const items: ItemResult[] = [
    itemOf(0, { images: [image!, { ...image!, n: 1, nsfwContentDetected: true }], failedImages }),
    itemOf(1, { warnings: ['the prompt is longer', 'than two models take'] }),
    { index: 2, customId: 'item-2', state: 'failed', code: 'RENDER_FAILED', message: 'is bad' },
  ]
  expect(summariseRecord(recordOf(items))).toMatchObject({
    rendered: 2,
    failed: 1,
    cancelled: 0,
    images: 3,
    imagesFailed: 1,
    imagesFlagged: 1,
    itemsWarned: 1,
    deviceSeconds: 3,
  })
})

test('a record of a whole shard counts its items', () => {
  const failed = { ...BASE, kind: 'failed', itemCount: 4, code: 'RENDER_FAILED', message: 'is bad' } as const
  expect(summariseRecord(failed)).toMatchObject({ rendered: 0, failed: 4, images: 0, schedulers: [] })
  expect(summariseRecord({ ...BASE, kind: 'cancelled', itemCount: 4 })).toMatchObject({ cancelled: 4 })
})
