import type { ShardDelivery } from '@darkroom/chassis'
import { create } from '@bufbuild/protobuf'
import { ItemRangeSchema } from '@darkroom/proto'
import { expect, test } from 'vitest'
import type { Tick } from '../engine/messages.ts'
import { shardOf } from '../worker.harness.ts'
import { HeldShard } from './held-shard.ts'
import { placeOf } from './shard-progress.ts'

const item = (index: number) => create(ItemRangeSchema, { first: index, last: index })

test('what was done for an item that is cancelled is no progress of the others', () => {
  const assignment = shardOf('emoji-sd', [{ numInferenceSteps: 100 }, { numInferenceSteps: 30 }])
  const shard = new HeldShard({ assignment } as ShardDelivery)
  shard.addJob(1, placeOf(0, 0))
  for (let step = 1; step <= 40; step++) shard.ticked({ jobs: [1], seconds: 1 } as unknown as Tick, 1000 * step)
  expect([shard.stepsDone, shard.stepsTotal, shard.imagesToStart]).toEqual([40, 130, 1])
  shard.cancelItems([item(0)])
  expect([shard.stepsDone, shard.stepsTotal, shard.imagesToStart]).toEqual([0, 30, 1])
  // A second a step, as it was.
  expect(shard.secondsLeft(40_000)).toBeCloseTo(30)
})

test('what an earlier attempt did counts for the items that are still wanted', () => {
  const assignment = shardOf('emoji-sd', [{ numInferenceSteps: 10 }, { numInferenceSteps: 20 }])
  const shard = new HeldShard({ assignment: { ...assignment, cancelledItems: [item(0)] } } as ShardDelivery)
  const image = { image: {}, steps: 20, seconds: 1, warnings: [] }
  const finished = new Map([placeOf(0, 0), placeOf(1, 0)].map((place) => [place, image]))
  shard.resume({ finished, begun: new Map() } as unknown as Parameters<HeldShard['resume']>[0])
  expect([shard.stepsResumed, shard.stepsDone, shard.stepsTotal, shard.imagesToStart]).toEqual([20, 20, 20, 0])
})
