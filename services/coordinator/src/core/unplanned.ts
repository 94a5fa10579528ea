import type { Demand, Level } from './backlog.ts'
import type { Waiting } from './outlook.ts'
import type { OpenBatch } from './state.ts'

/** What of a level's batches is not planned yet. */
export interface Unplanned {
  segments: number
  /** Estimate of their work, as far as one is known. */
  seconds: number
  /** Batches of which none is known. */
  unknown: number
}

/** A batch's plan has got so far. @param segmentSeconds estimate of each segment that is left */
export function setPlan(batch: OpenBatch, nextSegment: number, segmentSeconds: number | null): void {
  if (batch.level !== null) countUnplanned(batch.level, batch, -1)
  batch.nextSegment = nextSegment
  batch.segmentSeconds = segmentSeconds
  if (batch.level !== null) countUnplanned(batch.level, batch, 1)
}

export function countUnplanned({ toPlan }: Level, batch: OpenBatch, sign: 1 | -1): void {
  const segments = batch.segmentCount - batch.nextSegment
  if (segments === 0) return
  toPlan.segments += sign * segments
  toPlan.seconds += sign * segments * (batch.segmentSeconds ?? 0)
  toPlan.unknown += sign * Number(batch.segmentSeconds === null)
}

/** Estimate of what a level has still to dispatch: of all its batches, and what wants one checkpoint; Infinity where nobody knows. */
export function waitingIn({ seconds, toPlan }: Level, demand: Demand): Waiting {
  if (toPlan.segments === 0) return { seconds, secondsOfCheckpoint: demand.seconds }
  return { seconds: toPlan.unknown > 0 ? Infinity : seconds + toPlan.seconds, secondsOfCheckpoint: Infinity }
}
