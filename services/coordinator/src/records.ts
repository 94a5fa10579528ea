import type { CommitRecord } from '@darkroom/proto'
import type { ShardResult } from './core/state.ts'
import { addTally } from './core/tally.ts'
import type { Tallies } from './core/tally.ts'

/** What the core counts of a commit record. */
export function summariseRecord(record: CommitRecord): ShardResult {
  const nothing = { rendered: 0, failed: 0, cancelled: 0, images: 0, deviceSeconds: 0, schedulers: [] }
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

function summariseRendered(record: Extract<CommitRecord, { kind: 'rendered' }>): ShardResult {
  const rendered = record.items.filter((item) => item.state === 'rendered')
  const tallies: Tallies = new Map()
  for (const { scheduler, images, numInferenceSteps, seconds } of rendered)
    addTally(tallies, { scheduler, images: images.length, steps: images.length * numInferenceSteps, seconds })
  return {
    kind: 'rendered',
    rendered: rendered.length,
    failed: record.items.length - rendered.length,
    cancelled: 0,
    images: rendered.reduce((sum, { images }) => sum + images.length, 0),
    deviceSeconds: record.deviceSeconds,
    schedulers: [...tallies.values()],
  }
}
