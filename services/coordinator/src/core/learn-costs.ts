import type { Place, Work } from '../planner/cost-model.ts'
import type { FarmState, ShardResult } from './state.ts'

/** Has the cost model learn what a shard took, where all that it was to do was done. */
export function learnCosts(farm: FarmState, place: Place, work: Work, result: ShardResult): void {
  if (!isWhole(result)) return
  for (const { scheduler, seconds } of result.schedulers) {
    const units = work[scheduler]
    if (units !== undefined) farm.costs.learn(place, scheduler, units, seconds)
  }
}

/** Whether all that the shard was to do was done. */
export function isWhole({ kind, failed, cancelled, imagesFailed }: ShardResult): boolean {
  return kind === 'rendered' && failed === 0 && cancelled === 0 && imagesFailed === 0
}
