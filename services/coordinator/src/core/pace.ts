import type { AttachedWorker, FarmState, OpenShard } from './state.ts'

/** What a worker is expected to take for a shard. */
export function secondsOn(farm: FarmState, worker: AttachedWorker, { checkpoint, work }: OpenShard): number {
  const { deviceKind } = worker.profile.offer
  return worker.slowness * farm.costs.seconds({ checkpoint, deviceKind }, work)
}
