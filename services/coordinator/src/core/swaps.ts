import type { Worker } from '@darkroom/proto'

/** Loads of checkpoints that workers told of since this coordinator leads. */
export interface Swaps {
  loads: number
  seconds: number
}

/** What a load is believed to take until some were seen; it counts as one. */
const PRIOR_SECONDS = 20

/** Device seconds that a worker takes, on average, to load another checkpoint. */
export function swapSeconds({ loads, seconds }: Swaps): number {
  return (PRIOR_SECONDS + seconds) / (1 + loads)
}

/** What a worker has loaded since its last word; one that began anew counts from 0. */
export function noteLoads(swaps: Swaps, before: Worker | undefined, now: Worker): void {
  const isNew = before === undefined || before.checkpointLoads > now.checkpointLoads
  swaps.loads += now.checkpointLoads - (isNew ? 0 : before.checkpointLoads)
  swaps.seconds += now.checkpointLoadSeconds - (isNew ? 0 : before.checkpointLoadSeconds)
}
