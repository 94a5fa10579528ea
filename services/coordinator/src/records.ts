import type { CommitRecord } from '@darkroom/proto'
import type { SchedulerTally, ShardResult } from './core/state.ts'

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
  const schedulers = new Map<string, SchedulerTally>()
  for (const { scheduler, images, numInferenceSteps, seconds } of rendered) {
    const sum = schedulers.get(scheduler) ?? { scheduler, images: 0, steps: 0, seconds: 0 }
    schedulers.set(scheduler, {
      scheduler,
      images: sum.images + images.length,
      steps: sum.steps + images.length * numInferenceSteps,
      seconds: sum.seconds + seconds,
    })
  }
  return {
    kind: 'rendered',
    rendered: rendered.length,
    failed: record.items.length - rendered.length,
    cancelled: 0,
    images: rendered.reduce((sum, { images }) => sum + images.length, 0),
    deviceSeconds: record.deviceSeconds,
    schedulers: [...schedulers.values()],
  }
}
