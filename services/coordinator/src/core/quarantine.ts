import type { FarmCommand } from './messages.ts'
import { shardKey } from './state.ts'
import type { AttachedWorker, FarmState, OpenShard, ShardResult } from './state.ts'
import { takeBack, updateTaking } from './taking.ts'

/** Workers that are believed to be bad, by id: they may come and go. */
export interface Suspects {
  /** What speaks against a worker, of the last while. */
  readonly blames: Map<string, Blame[]>
  readonly quarantined: Map<string, Quarantine>
}

interface Blame {
  readonly atMs: number
  /** The shard, or the worker, that speaks against it: each counts once. */
  readonly by: string
}

export const QUARANTINE_REASONS = ['stalled', 'fails_what_others_render', 'renders_other_pixels'] as const
export type QuarantineReason = (typeof QUARANTINE_REASONS)[number]

/** A worker that is given nothing. */
interface Quarantine {
  readonly reason: QuarantineReason
  readonly untilMs: number
  /** What the worker had done by then. */
  readonly activity: bigint
}

/** So many shards, or other workers, must speak against it. */
const BLAMES = 3
const BLAME_MS = 10 * 60_000
const QUARANTINE_MS = 5 * 60_000

/** Others rendered what it could not: that speaks against the ones that failed it. */
export function blameFailed(
  farm: FarmState,
  shard: OpenShard,
  { kind, workerId }: ShardResult,
  nowMs: number,
  commands: FarmCommand[],
): void {
  if (kind !== 'rendered' || workerId === null || shard.refusedBy.includes(workerId)) return
  const by = shardKey(shard.batchId, shard.id)
  for (const refused of shard.refusedBy) accuse(farm, refused, by, 'fails_what_others_render', nowMs, commands)
}

/**
 * Two workers of one kind of device have made different pictures of the same request. Nobody can tell which of them is wrong, so
 * that it speaks against both: the one that is, is soon accused by several.
 */
export function blameDifferent(
  farm: FarmState,
  one: string,
  other: string,
  nowMs: number,
  commands: FarmCommand[],
): void {
  const [a, b] = [farm.workers.get(one), farm.workers.get(other)]
  if (a === undefined || b === undefined || !isSameDevice(a, b)) return
  accuse(farm, one, other, 'renders_other_pixels', nowMs, commands)
  accuse(farm, other, one, 'renders_other_pixels', nowMs, commands)
}

export function isSameDevice({ snapshot: a }: AttachedWorker, { snapshot: b }: AttachedWorker): boolean {
  return a.device?.kind === b.device?.kind && a.device?.name === b.device?.name
}

function accuse(
  farm: FarmState,
  workerId: string,
  by: string,
  reason: QuarantineReason,
  nowMs: number,
  commands: FarmCommand[],
): void {
  const { blames, quarantined } = farm.suspects
  const others = (blames.get(workerId) ?? []).filter((blame) => blame.by !== by && nowMs - blame.atMs <= BLAME_MS)
  blames.set(workerId, [...others, { atMs: nowMs, by }])
  if (others.length + 1 < BLAMES || quarantined.has(workerId)) return
  // With nobody else like it, a bad worker is better than none.
  const profile = farm.workers.get(workerId)?.profile
  const isAlike = (id: string): boolean => id !== workerId && farm.workers.get(id)!.profile === profile
  if (profile !== undefined && !farm.taking.values().some(isAlike)) return
  quarantine(farm, workerId, reason, nowMs, commands)
}

/** For a while it is given nothing; what it has not begun is for others. */
export function quarantine(
  farm: FarmState,
  workerId: string,
  reason: QuarantineReason,
  nowMs: number,
  commands: FarmCommand[],
): void {
  const worker = farm.workers.get(workerId)
  const activity = worker?.snapshot.activity ?? 0n
  farm.suspects.quarantined.set(workerId, { reason, untilMs: nowMs + QUARANTINE_MS, activity })
  commands.push({ type: 'quarantined', workerId, reason })
  if (worker === undefined) return
  updateTaking(farm, worker)
  takeBack(farm, worker, nowMs, commands)
}

/** Where a worker that was stuck has done something since, or was started anew. */
export function releaseStalled(farm: FarmState, { id, snapshot }: AttachedWorker, commands: FarmCommand[]): void {
  const found = farm.suspects.quarantined.get(id)
  if (found?.reason === 'stalled' && found.activity !== snapshot.activity) release(farm, id, commands)
}

/** What was long ago does not count any more. */
export function forgive(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  const { blames, quarantined } = farm.suspects
  for (const [workerId, { untilMs }] of quarantined) {
    if (nowMs < untilMs) continue
    blames.delete(workerId)
    release(farm, workerId, commands)
  }
  for (const [workerId, all] of blames) if (nowMs - all.at(-1)!.atMs > BLAME_MS) blames.delete(workerId)
}

function release(farm: FarmState, workerId: string, commands: FarmCommand[]): void {
  farm.suspects.quarantined.delete(workerId)
  commands.push({ type: 'released', workerId })
  const worker = farm.workers.get(workerId)
  if (worker !== undefined) updateTaking(farm, worker)
}
