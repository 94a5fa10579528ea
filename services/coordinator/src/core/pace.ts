import type { AttachedWorker, FarmState, ShardSummary } from './state.ts'

/** What a worker is expected to take for a shard, or for as much work. */
export function secondsOn(
  farm: FarmState,
  worker: AttachedWorker,
  { checkpoint, work }: Pick<ShardSummary, 'checkpoint' | 'work'>,
): number {
  const { deviceKind } = worker.profile.offer
  return worker.slowness * farm.costs.seconds({ checkpoint, deviceKind }, work)
}
