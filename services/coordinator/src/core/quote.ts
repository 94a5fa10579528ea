import { heldItems } from './hold-back.ts'
import type { Work } from '../planner/cost-model.ts'
import { secondsOn } from './pace.ts'
import type { FarmState, OpenBatch } from './state.ts'
import { swapSeconds } from './swaps.ts'

/** What is to be done with one checkpoint. */
export interface QuotedWork {
  readonly checkpoint: string
  readonly work: Work
}

export interface Quote {
  readonly deviceSeconds: number
  readonly workers: number
  /** Until the end, with all workers for itself; null without any. */
  readonly secondsAlone: number | null
  /** With all that waits now before it. */
  readonly secondsBehindAll: number | null
  readonly isMeasured: boolean
}

/** Estimates a batch that nobody has submitted, as the mean over the workers that are given work now. */
export function quote(farm: FarmState, parts: readonly QuotedWork[]): Quote {
  const deviceSeconds = parts.reduce((sum, part) => sum + meanSeconds(farm, part), 0)
  const workers = farm.taking.size
  const isMeasured = parts.every(({ checkpoint }) => farm.costs.hasMeasured(checkpoint))
  if (workers === 0) return { deviceSeconds, workers, secondsAlone: null, secondsBehindAll: null, isMeasured }
  const loads = parts.filter(({ checkpoint }) => !isLoaded(farm, checkpoint)).length
  const secondsAlone = deviceSeconds / workers + (loads > 0 ? swapSeconds(farm.swaps) : 0)
  return {
    deviceSeconds,
    workers,
    secondsAlone,
    secondsBehindAll: secondsAlone + waitingSeconds(farm) / workers,
    isMeasured,
  }
}

function meanSeconds(farm: FarmState, part: QuotedWork): number {
  const { size } = farm.taking
  if (size === 0) return farm.costs.seconds({ checkpoint: part.checkpoint, deviceKind: null }, part.work)
  return farm.taking.values().reduce((sum, id) => sum + secondsOn(farm, farm.workers.get(id)!, part), 0) / size
}

function isLoaded(farm: FarmState, checkpoint: string): boolean {
  return farm.taking.values().some((id) => farm.workers.get(id)!.carries.has(checkpoint))
}

/**
 * Device seconds of shards that are open, by estimate, and of items that are not planned yet, as their batch's shards take on
 * average. What waits for somebody does not count.
 */
export function waitingSeconds(farm: FarmState, isCounted: (batch: OpenBatch) => boolean = () => true): number {
  let sum = 0
  for (const batch of farm.batches.values()) {
    if (!isCounted(batch)) continue
    let items = 0
    let seconds = 0
    for (const shard of batch.open.values()) {
      if (shard.state === 'held') continue
      items += shard.itemCount
      seconds += shard.seconds
    }
    const ended = batch.rendered + batch.failed + batch.cancelled
    const measured = batch.schedulers.values().reduce((total, one) => total + one.seconds, 0)
    const each = items + ended === 0 ? 0 : (seconds + measured) / (items + ended)
    sum += seconds + each * (batch.itemCount - heldItems(batch) - ended - items)
  }
  return sum
}
