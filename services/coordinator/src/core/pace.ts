import type { RunningShard } from '@darkroom/proto'
import { shardKey } from './state.ts'
import type { AttachedWorker, FarmState, OpenShard, ShardSummary } from './state.ts'

/** What a worker is expected to take for a shard, or for as much work. */
export function secondsOn(
  farm: FarmState,
  worker: AttachedWorker,
  { checkpoint, work }: Pick<ShardSummary, 'checkpoint' | 'work'>,
): number {
  const { deviceKind } = worker.profile.offer
  return worker.slowness * farm.costs.seconds({ checkpoint, deviceKind }, work)
}

/** At the rate that it has had; without any, what it is expected to take, or as long again as it has been there. */
export function secondsLeft(
  farm: FarmState,
  worker: AttachedWorker,
  shard: OpenShard,
  { stepsDone, stepsTotal }: Pick<RunningShard, 'stepsDone' | 'stepsTotal'>,
  nowMs: number,
): number {
  const { firstSteps, unownedSinceMs } = shard
  const steps = stepsDone - (firstSteps?.done ?? stepsDone)
  const left = Math.max(0, stepsTotal - stepsDone)
  if (firstSteps !== null && steps > 0) return ((nowMs - firstSteps.atMs) / 1000 / steps) * left
  const todo = stepsTotal === 0 ? 1 : left / stepsTotal
  return Math.max(secondsOn(farm, worker, shard) * todo, (nowMs - (firstSteps?.atMs ?? unownedSinceMs)) / 1000)
}

/** Until a worker is done with all that it was given. */
export function secondsInHand(farm: FarmState, worker: AttachedWorker, nowMs: number): number {
  let seconds = 0
  for (const shard of worker.assigned) {
    const reported = worker.running.get(shardKey(shard.batchId, shard.id))
    seconds +=
      reported === undefined ? secondsOn(farm, worker, shard) : secondsLeft(farm, worker, shard, reported, nowMs)
  }
  return seconds
}
