import type { BatchDocument, DoneDocument } from '@darkroom/proto'
import { describe, expect, test } from 'vitest'
import { ITEMS_PER_SHARD, openedOf, resultOf, segmentOf, SETTINGS, workerOf } from './core/decide.harness.ts'
import { decide } from './core/decide.ts'
import { createState } from './core/state.ts'
import type { OpenBatch } from './core/state.ts'
import { viewEnded, viewOpen } from './views.ts'

const ASKED = { PNDMScheduler: 5, DDIMScheduler: ITEMS_PER_SHARD }
const NOTHING = { images: 0n, steps: 0n, seconds: 0, imagesPerSecond: 0 }

describe('an open batch', () => {
  /** Of two shards one is rendered, in two seconds, all of it with DDIM. */
  function halfDone(schedulerImages: Readonly<Record<string, number>>): OpenBatch {
    const farm = createState(SETTINGS, 0)
    const summary = { schedulerImages: new Map(Object.entries(schedulerImages)) }
    decide(farm, { type: 'workerSeen', worker: workerOf('w1') }, 0)
    decide(farm, openedOf('b1', 1, 2, [segmentOf(0, 2)], summary), 0)
    decide(farm, { type: 'shardDispatched', batchId: 'b1', shardId: '0-0', attempt: 1, sequence: 1 }, 0)
    const result = resultOf('rendered', ITEMS_PER_SHARD, 6, 'w1')
    decide(farm, { type: 'shardEnded', batchId: 'b1', shardId: '0-0', result }, 2_000)
    return farm.batches.get('b1')!
  }
  const ddim = { scheduler: 'DDIMScheduler', images: 3n, steps: 30n, seconds: 6, imagesPerSecond: 1.5 }

  test('tells of each scheduler what it has to make, how fast it goes, and also of those that have not begun', () => {
    const view = viewOpen(halfDone(ASKED), 2_000)
    expect(view.schedulers).toMatchObject([
      { ...NOTHING, scheduler: 'PNDMScheduler', imageCount: 5 },
      { ...ddim, imageCount: 3 },
    ])
    expect(view.imagesPerSecond).toBe(1.5)
  })

  test('that was accepted before they were counted tells of the schedulers that have begun', () => {
    const { schedulers } = viewOpen(halfDone({}), 2_000)
    expect(schedulers).toMatchObject([ddim])
    expect(schedulers[0]).not.toHaveProperty('imageCount')
  })
})

describe('an ended batch', () => {
  const ended = (schedulerImages?: Readonly<Record<string, number>>) =>
    viewEnded(
      {
        id: 'b1',
        createdAt: '2026-01-01T00:00:00Z',
        itemCount: 8,
        imageCount: 8,
        ...(schedulerImages && { schedulerImages }),
      } as BatchDocument,
      {
        state: 'cancelled',
        startedAt: '2026-01-01T00:00:00Z',
        endedAt: '2026-01-01T00:00:04Z',
        items: { rendered: 2, failed: 0, cancelled: 6 },
        images: 2,
        schedulers: [{ scheduler: 'DDIMScheduler', images: 2, steps: 20, seconds: 1 }],
      } as unknown as DoneDocument,
    )
  const ddim = { scheduler: 'DDIMScheduler', images: 2n, steps: 20n, seconds: 1, imagesPerSecond: 0.5 }

  test('tells of each scheduler what it has made of what it had to make', () => {
    expect(ended(ASKED).schedulers).toMatchObject([
      { ...NOTHING, scheduler: 'PNDMScheduler', imageCount: 5 },
      { ...ddim, imageCount: 3 },
    ])
  })

  test.for([undefined, { DDIMScheduler: 7 }])(
    'whose counts are %o tells of what its schedulers have made',
    (counts) => {
      const { schedulers } = ended(counts)
      expect(schedulers).toMatchObject([ddim])
      expect(schedulers[0]).not.toHaveProperty('imageCount')
    },
  )
})
