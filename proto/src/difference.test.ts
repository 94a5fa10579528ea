import { expect, test } from 'vitest'
import { differenceOf } from './difference.ts'
import type { CommitRecord, ItemResult } from './documents.ts'

const item = (index: number, ...hashes: readonly string[]): ItemResult => ({
  index,
  customId: `item-${index}`,
  state: 'rendered',
  scheduler: 'DDIMScheduler',
  numInferenceSteps: 1,
  images: hashes.map((sha256, n) => ({ n, seed: n, name: sha256, sha256, bytes: 1, width: 8, height: 8 })),
  seconds: 1,
  warnings: [],
})

const recordOf = (workerId: string, items: readonly ItemResult[]): CommitRecord => ({
  kind: 'rendered',
  batchId: 'b',
  shardId: 's',
  attempt: 1,
  committedAt: '',
  startedAt: '',
  checkpoint: '',
  deviceSeconds: 1,
  workerId,
  items,
})

test('items with a picture of other bytes differ, and the winner is named', () => {
  const own = recordOf('w1', [item(0, 'a'), item(1, 'b', 'c'), item(2, 'd')])
  const stored = recordOf('w2', [item(0, 'a'), item(1, 'b', 'x'), item(2, 'y')])
  expect(differenceOf(own, stored)).toEqual({ differingItems: [1, 2], recordWorkerId: 'w2' })
})

test('an image or item that one of them could not make is no other picture', () => {
  const failed: ItemResult = { index: 1, customId: 'item-1', state: 'failed', code: 'RENDER_FAILED', message: 'no' }
  const own = recordOf('w1', [item(0, 'a', 'b'), item(1, 'c')])
  expect(differenceOf(own, recordOf('w2', [item(0, 'a'), failed])).differingItems).toEqual([])
})

test('nothing is compared with a record of the coordinator', () => {
  const cancelled: CommitRecord = {
    kind: 'cancelled',
    batchId: 'b',
    shardId: 's',
    attempt: 1,
    committedAt: '',
    itemCount: 1,
  }
  expect(differenceOf(recordOf('w1', [item(0, 'a')]), cancelled)).toEqual({ differingItems: [], recordWorkerId: '' })
})
