import type { FarmCommand } from './messages.ts'
import { isSameDevice } from './quarantine.ts'
import { placeWorker } from './slots.ts'
import { shardKey } from './state.ts'
import type { AttachedWorker, FarmState, OpenShard, ShardResult } from './state.ts'

/** A shard that has its record and is rendered again, to compare. */
export interface Audit {
  readonly workerId: string
  readonly sinceMs: number
  /** Of its message, null while that is on the way. */
  sequence: number | null
}

/** So many at once: each is work for nothing but certainty. */
const AUDITS = 16
const AUDIT_MS = 15 * 60_000

/** Has a chosen share of the shards rendered again by another worker of the same kind of device, where there is one. */
export function auditSome(
  farm: FarmState,
  shard: OpenShard,
  { kind, workerId }: ShardResult,
  nowMs: number,
  commands: FarmCommand[],
): void {
  const { batchId, id: shardId, attempts } = shard
  const key = shardKey(batchId, shardId)
  if (kind !== 'rendered' || workerId === null || farm.audits.size >= AUDITS) return
  if (shareOf(key) >= farm.settings.auditShare) return
  const first = farm.workers.get(workerId)
  const other = first === undefined ? null : findOther(farm, first, shard.checkpoint)
  if (other === null) return
  farm.audits.set(key, { workerId: other.id, sinceMs: nowMs, sequence: null })
  placeWorker(farm, other)
  commands.push({ type: 'audit', batchId, shardId, attempt: attempts + 1, workerId: other.id })
}

/** One that has the checkpoint and room: a place beyond the window too, since a busy farm has no other. */
function findOther(farm: FarmState, first: AttachedWorker, checkpoint: string): AttachedWorker | null {
  for (const free of first.profile.free.slice(0, farm.settings.window + 1)) {
    const other = free.byCheckpoint
      .get(checkpoint)
      ?.inOrder()
      .find((worker) => worker !== first && isSameDevice(worker, first))
    if (other !== undefined) return other
  }
  return null
}

/** The same for a shard whoever asks, spread evenly over 0 to 1: FNV-1a. */
function shareOf(key: string): number {
  let hash = 0x811c9dc5
  for (let place = 0; place < key.length; place++) hash = Math.imul(hash ^ key.charCodeAt(place), 0x01000193)
  // Its low bits are the good ones.
  return (Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0) / 2 ** 32
}

/** An audit is over, or given up: its worker has a place again. */
export function endAudit(farm: FarmState, key: string): void {
  const audit = farm.audits.get(key)
  if (audit === undefined) return
  farm.audits.delete(key)
  const worker = farm.workers.get(audit.workerId)
  if (worker !== undefined) placeWorker(farm, worker)
}

/** Gives up those whose worker is gone, does not come to it, or has long had nothing to do: their message is lost. */
export function checkAudits(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  const { unownedMs } = farm.settings
  for (const [key, { workerId, sinceMs, sequence }] of farm.audits) {
    const worker = farm.workers.get(workerId)
    const idleSinceMs = worker?.idleSinceMs ?? null
    const isLost = idleSinceMs !== null && nowMs - Math.max(sinceMs, idleSinceMs) > unownedMs
    if (worker !== undefined && !isLost && nowMs - sinceMs <= AUDIT_MS) continue
    if (sequence !== null) commands.push({ type: 'withdraw', sequence })
    endAudit(farm, key)
  }
}
