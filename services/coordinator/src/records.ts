import { halfIdsOf } from '@darkroom/proto'
import type { CommitRecord } from '@darkroom/proto'
import { noCounts } from './core/counts.ts'
import type { ShardResult } from './core/state.ts'
import { addTally } from './core/tally.ts'
import type { Tallies } from './core/tally.ts'

/** What the core counts of a commit record. */
export function summariseRecord(record: CommitRecord): ShardResult {
  const nothing = { ...noCounts(), workerId: null, deviceSeconds: 0, schedulers: [] }
  switch (record.kind) {
    case 'cancelled':
      return { ...nothing, kind: 'cancelled', cancelled: record.itemCount }
    case 'failed':
      return { ...nothing, kind: 'failed', failed: record.itemCount }
    case 'split':
      return { ...nothing, kind: 'split' }
    default:
      return summariseRendered(record)
  }
}

/** A record of the coordinator's own, for a shard that nobody will render. */
export function recordOf(
  kind: 'cancelled' | 'failed' | 'split',
  { itemCount, ...base }: Omit<Extract<CommitRecord, { kind: 'cancelled' }>, 'kind'>,
  message: string,
): CommitRecord {
  if (kind === 'split') return { ...base, kind, into: halfIdsOf(base.shardId) }
  if (kind === 'cancelled') return { ...base, kind, itemCount }
  return { ...base, kind, itemCount, code: 'RENDER_FAILED', message }
}

function summariseRendered(record: Extract<CommitRecord, { kind: 'rendered' }>): ShardResult {
  const counts = noCounts()
  const tallies: Tallies = new Map()
  for (const item of record.items) {
    counts[item.state]++
    if (item.state !== 'rendered') {
      const { scheduler, seconds } = item
      if (scheduler !== undefined && seconds !== undefined)
        addTally(tallies, { scheduler, images: 0, steps: 0, seconds })
      continue
    }
    const { scheduler, images, numInferenceSteps, steps = images.length * numInferenceSteps, seconds } = item
    counts.images += images.length
    counts.imagesFailed += item.failedImages?.length ?? 0
    counts.imagesFlagged += images.filter(({ nsfwContentDetected }) => nsfwContentDetected === true).length
    counts.itemsWarned += item.warnings.length > 0 ? 1 : 0
    addTally(tallies, { scheduler, images: images.length, steps, seconds })
  }
  return {
    ...counts,
    kind: 'rendered',
    workerId: record.workerId,
    deviceSeconds: record.deviceSeconds,
    schedulers: [...tallies.values()],
  }
}
