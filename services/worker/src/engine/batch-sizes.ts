import { ClosedSizes } from './closed-sizes.ts'
import { FreeSizes } from './free-sizes.ts'

/** `any`: each number of rows as it comes; `closed`: padded to a closed set; `single`: one lane in each call. */
export type Shapes = 'any' | 'closed' | 'single'

/** What is to be done with one shape of latents. */
export interface Work {
  /** Calls that each of its lanes still needs, times the rows of that lane, summed. */
  readonly rowSteps: number
  /** Calls that the lane needs which ends last. */
  readonly longest: number
  /** Rows of its widest lane. */
  readonly laneRows: number
}

/** How many rows a call of the denoiser should take, for one checkpoint and shape of latents: learned from what calls took. */
export interface BatchSizes {
  /** Rows that are worth having together while there is enough to do. */
  readonly cap: number
  /** Every size that calls may come in, the largest first; null where any is as good. */
  readonly closed: readonly number[] | null
  /** Seconds that a call takes longer where the one before it had another size. */
  readonly switchSeconds: number
  /** Rows that the next call may take. */
  rowsFor(work: Work): number
  /** Rows of a call that hardly takes longer than one of so many, for which somebody waits; Infinity for any. */
  beside(rows: number): number
  /** Takes note of what a call took. @param isSwitch whether the call before it had other shapes; null: unknown */
  took(rows: number, seconds: number, isSwitch: boolean | null): void
  /** After the device ran out of memory with so many rows. @returns whether fewer can be tried */
  shrink(rows: number): boolean
}

/** @param most rows of a call */
export function createBatchSizes(most: number, shapes: Shapes): BatchSizes {
  if (shapes === 'closed') return new ClosedSizes(most)
  // A single lane comes with all its rows, whatever the most.
  return new FreeSizes(shapes === 'single' ? 1 : most)
}
