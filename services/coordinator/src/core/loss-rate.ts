import { PRIOR_SECONDS_BETWEEN_LOSSES } from '@darkroom/proto'

/** What was seen of the workers since this coordinator leads. */
export interface LossRate {
  /** Workers that were lost with shards in their hands, other than by a drain. */
  losses: number
  /** How long workers held shards, all of them together. */
  heldMs: number
}

/**
 * How long a worker works, on average, until it is lost. The prior counts as one loss that was seen in its time, so that a farm
 * that is young, or has lost none, has a rate too.
 */
export function meanSecondsBetweenLosses({ losses, heldMs }: LossRate): number {
  return (PRIOR_SECONDS_BETWEEN_LOSSES + heldMs / 1000) / (1 + losses)
}
