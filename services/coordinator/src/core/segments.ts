import { addCounts, noCounts } from './counts.ts'
import type { Counts } from './counts.ts'
import type { FarmCommand } from './messages.ts'
import type { OpenBatch, ShardResult } from './state.ts'
import { addTally } from './tally.ts'
import type { SchedulerTally, Tallies } from './tally.ts'

/** What ended shards sum to. */
export interface Tally {
  shards: number
  readonly counts: Counts
  readonly schedulers: Tallies
}

/** A planned segment that has open shards. */
export interface OpenSegment {
  open: number
  readonly ended: Tally
}

/** What of a batch need not be looked at again: every planned segment but those that are open has all its records. */
export interface Completed {
  readonly plannedSegments: number
  readonly openSegments: readonly number[]
  readonly shards: number
  readonly counts: Counts
  readonly schedulers: readonly SchedulerTally[]
}

/** Often enough that a restart reads little again. */
const SAVE_MS = 5_000

export function emptyTally(): Tally {
  return { shards: 0, counts: noCounts(), schedulers: new Map() }
}

export function tallyOf({ shards, counts, schedulers }: Completed): Tally {
  return { shards, counts: { ...counts }, schedulers: new Map(schedulers.map((one) => [one.scheduler, one])) }
}

function countResult(tally: Tally, result: ShardResult): void {
  tally.shards++
  addCounts(tally.counts, result)
  for (const one of result.schedulers) addTally(tally.schedulers, one)
}

/** A shard of a segment is open now. */
export function noteOpened(batch: OpenBatch, segment: number): void {
  openSegment(batch, segment).open++
}

/** A record of a segment was seen. */
export function noteResult(batch: OpenBatch, segment: number, result: ShardResult): void {
  countResult(openSegment(batch, segment).ended, result)
}

function openSegment(batch: OpenBatch, segment: number): OpenSegment {
  let found = batch.openSegments.get(segment)
  if (found === undefined) {
    found = { open: 0, ended: emptyTally() }
    batch.openSegments.set(segment, found)
  }
  return found
}

/** Adds a segment to what is completed, once none of its shards is open. */
export function completeSegment(batch: OpenBatch, segment: number): void {
  const found = batch.openSegments.get(segment)
  if (found === undefined || found.open > 0) return
  batch.openSegments.delete(segment)
  const { completed } = batch
  completed.shards += found.ended.shards
  addCounts(completed.counts, found.ended.counts)
  for (const one of found.ended.schedulers.values()) addTally(completed.schedulers, one)
}

/** Has what is completed stored, now and then. */
export function saveCompleted(batch: OpenBatch, nowMs: number, commands: FarmCommand[]): void {
  const { completed } = batch
  // A plan that was closed has segments that were never planned.
  if (batch.state === 'cancelling') return
  if (completed.shards === batch.savedShards || nowMs - batch.savedAtMs < SAVE_MS) return
  batch.savedAtMs = nowMs
  batch.savedShards = completed.shards
  commands.push({ type: 'saveCompleted', batchId: batch.id })
}

export function completedOf({ nextSegment, openSegments, completed }: OpenBatch): Completed {
  const { shards, counts, schedulers } = completed
  return {
    plannedSegments: nextSegment,
    openSegments: [...openSegments.keys()],
    shards,
    counts: { ...counts },
    schedulers: [...schedulers.values()],
  }
}
