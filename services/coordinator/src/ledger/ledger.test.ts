import type { BatchDocument, CommitRecord, ItemResult, PlannedShard } from '@darkroom/proto'
import { expect, test } from 'vitest'
import { LedgerEntries } from './ledger-entries.ts'
import { LedgerSums } from './ledger-sums.ts'
import type { Grouping, LedgerSum } from './ledger-sums.ts'

const SCHEDULERS = ['DDIMScheduler', 'PNDMScheduler', 'EulerDiscreteScheduler']
const GROUPINGS: readonly Grouping[] = ['tenant', 'checkpoint', 'scheduler', 'batch']

interface Ended {
  readonly shard: PlannedShard
  readonly record: CommitRecord
}

function batchOf(id: string, tenant: string): BatchDocument {
  const counts = { itemCount: 0, imageCount: 0, checkpoints: [], parts: [], metadata: {}, traceparent: '' }
  return { id, tenant, createdAt: '2026-11-23T00:00:00.000Z', ...counts }
}

function shardOf(id: string, checkpoint: string): PlannedShard {
  return { id, checkpoint, task: 'text-to-image', width: 8, height: 8, items: [0] }
}

function rendered(
  shard: PlannedShard,
  day: string,
  attempt: number,
  items: readonly ItemResult[],
  loadSeconds?: number,
): Ended {
  const at = `${day}T12:00:00.000Z`
  const deviceSeconds = items.reduce((sum, { seconds = 0 }) => sum + seconds, 0)
  const base = { batchId: 'b', shardId: shard.id, attempt, committedAt: at, startedAt: at }
  const { checkpoint } = shard
  const loads = loadSeconds === undefined ? {} : { loadSeconds }
  return { shard, record: { ...base, kind: 'rendered', workerId: 'w', checkpoint, deviceSeconds, ...loads, items } }
}

function itemOf(index: number, scheduler: string, seconds: number): ItemResult {
  const image = { n: 0, seed: 0, name: 'x.png', sha256: 'x', bytes: 1, width: 8, height: 8 }
  const customId = `item-${index}`
  return { index, customId, state: 'rendered', scheduler, numInferenceSteps: 9, steps: 9, images: [image], seconds, warnings: [] } // prettier-ignore
}

function entriesOf(batch: BatchDocument, ended: readonly Ended[]): LedgerEntries {
  const entries = new LedgerEntries(batch)
  for (const { shard, record } of ended) entries.add(shard, record)
  return entries
}

/** Numbers from 0 to 1 that are the same each time. */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed; ;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    yield state / 2 ** 32
  }
}

test('whatever was committed: by each name the lines sum to the records, each once', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = numbers(seed)
    const upTo = (n: number): number => Math.floor(random.next().value * n)
    const expected: LedgerSum = { deviceSeconds: 0, images: 0, steps: 0, retries: 0, loadSeconds: 0, failedSeconds: 0 }
    const documents = ['b1', 'b2', 'b3'].flatMap((id) => {
      const ended = Array.from({ length: upTo(12) }, (_, n) => {
        const shard = shardOf(`00000-0000${n}`, `c${upTo(3)}@sha256:x`)
        const items = Array.from({ length: upTo(5) }, (_item, index) => itemOf(index, SCHEDULERS[upTo(3)]!, upTo(900)))
        const attempt = 1 + upTo(3)
        const loadSeconds = upTo(2) === 0 ? undefined : upTo(30)
        const one = rendered(shard, `2026-11-2${upTo(3)}`, attempt, items, loadSeconds)
        expected.deviceSeconds += one.record.kind === 'rendered' ? one.record.deviceSeconds : 0
        expected.images += items.length
        expected.steps += 9 * items.length
        expected.retries += attempt - 1
        expected.loadSeconds += loadSeconds ?? 0
        return one
      })
      return entriesOf(batchOf(id, `t${upTo(2)}`), ended).documents
    })
    for (const by of GROUPINGS) {
      const sums = new LedgerSums(by)
      for (const document of documents) sums.add(document)
      expect(sums.total).toEqual(expected)
      const lines = [...sums.groups.values()]
      for (const name of ['deviceSeconds', 'images', 'steps', 'retries', 'loadSeconds'] as const) {
        if ((name === 'retries' || name === 'loadSeconds') && by === 'scheduler') continue
        expect(lines.reduce((sum, line) => sum + line[name], 0)).toBe(expected[name])
      }
    }
  }
})

test('work is booked on the day that it was committed on', () => {
  const items = [itemOf(0, 'DDIMScheduler', 2)]
  const entries = entriesOf(batchOf('b', 't'), [
    rendered(shardOf('00000-00000', 'c'), '2026-11-23', 1, items, 7.5),
    rendered(shardOf('00000-00001', 'c'), '2026-11-24', 3, items),
  ])
  const schedulers = [{ scheduler: 'DDIMScheduler', images: 1, steps: 9, seconds: 2 }]
  expect(entries.documents).toEqual([
    {
      batchId: 'b',
      tenant: 't',
      day: '2026-11-23',
      checkpoints: [{ checkpoint: 'c', shards: 1, retries: 0, loadSeconds: 7.5, failedSeconds: 0, schedulers }],
    },
    {
      batchId: 'b',
      tenant: 't',
      day: '2026-11-24',
      checkpoints: [{ checkpoint: 'c', shards: 1, retries: 2, loadSeconds: 0, failedSeconds: 0, schedulers }],
    },
  ])
})

test('shards that were split, failed or cancelled cost nothing, and those of their attempts that were followed by others are told', () => {
  const base = { batchId: 'b', shardId: 's', committedAt: '2026-11-23T00:00:00.000Z' }
  const shard = shardOf('00000-00000', 'c')
  const failed = { kind: 'failed', itemCount: 1, code: 'RENDER_FAILED', message: 'is bad' } as const
  const { documents } = entriesOf(batchOf('b', 't'), [
    {
      shard,
      record: { ...base, kind: 'split', attempt: 4, failedAttempts: 2, into: ['00000-00000a', '00000-00000b'] },
    },
    { shard, record: { ...base, ...failed, attempt: 8, failedAttempts: 5 } },
    { shard, record: { ...base, kind: 'cancelled', attempt: 3, failedAttempts: 0, itemCount: 1 } },
  ])
  expect(documents[0]!.checkpoints).toEqual([
    { checkpoint: 'c', shards: 2, retries: 6, loadSeconds: 0, failedSeconds: 0, schedulers: [] },
  ])
})

test('an attempt that another worker took over, or that was handed back, is no retry', () => {
  const { shard, record } = rendered(shardOf('00000-00000', 'c'), '2026-11-23', 4, [itemOf(0, 'DDIMScheduler', 1)])
  const retriesOf = (one: CommitRecord): number =>
    entriesOf(batchOf('b', 't'), [{ shard, record: one }]).documents[0]!.checkpoints[0]!.retries
  expect(retriesOf({ ...record, failedAttempts: 0 })).toBe(0)
  expect(retriesOf({ ...record, failedAttempts: 1 })).toBe(1)
  // Of a record from before they were counted nobody knows what became of them.
  expect(retriesOf(record)).toBe(3)
})

test('what failed is charged for what it took, told apart, and has no images', () => {
  const failedImages = [{ n: 1, seed: 1, code: 'RENDER_FAILED', message: 'is black', seconds: 2 }]
  const reason = { code: 'RENDER_FAILED', message: 'is bad' }
  const { documents } = entriesOf(batchOf('b', 't'), [
    rendered(shardOf('00000-00000', 'c'), '2026-11-23', 1, [
      // Two of its five seconds are those of the image that failed.
      { ...itemOf(0, 'DDIMScheduler', 5), failedImages } as ItemResult,
      { index: 1, customId: 'item-1', state: 'failed', ...reason, scheduler: 'PNDMScheduler', seconds: 3 },
      // From before what failed was counted.
      { index: 2, customId: 'item-2', state: 'failed', ...reason },
    ]),
  ])
  const schedulers = [
    { scheduler: 'DDIMScheduler', images: 1, steps: 9, seconds: 5 },
    { scheduler: 'PNDMScheduler', images: 0, steps: 0, seconds: 3 },
  ]
  expect(documents).toMatchObject([{ checkpoints: [{ failedSeconds: 5, schedulers }] }])
  const sums = new LedgerSums('tenant')
  for (const document of documents) sums.add(document)
  expect(sums.groups.get('t')).toMatchObject({ deviceSeconds: 8, images: 1, failedSeconds: 5 })
})

test('an entry from before loads were counted sums like the others', () => {
  const sums = new LedgerSums('tenant')
  const schedulers = [{ scheduler: 'DDIMScheduler', images: 1, steps: 9, seconds: 2 }]
  sums.add({
    batchId: 'b',
    tenant: 't',
    day: '2026-11-23',
    checkpoints: [{ checkpoint: 'c', shards: 1, retries: 0, schedulers }],
  })
  expect(sums.total).toEqual({ deviceSeconds: 2, images: 1, steps: 9, retries: 0, loadSeconds: 0, failedSeconds: 0 })
})
