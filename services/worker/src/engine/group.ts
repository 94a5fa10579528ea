import { rowsOf } from '@darkroom/diffusion'
import type { ActiveJob, Job } from './job.ts'

/** Jobs that can share a call of the denoiser: one checkpoint, one latent shape. The oldest come first. */
export interface Group {
  readonly key: string
  readonly pin: string
  readonly waiting: Job[]
  /** Being prepared, with the rows that they will take. */
  readonly opening: Map<Job, number>
  readonly active: Set<ActiveJob>
  /** Denoised, but not yet pictures. */
  readonly finishing: Set<ActiveJob>
}

/** Jobs with the same one can share calls. */
export function groupKey({ pin, request: { width, height, task, maxSequenceLength } }: Job): string {
  return `${pin} ${width}x${height} ${task} ${maxSequenceLength ?? ''}`
}

export function createGroup(job: Job): Group {
  return {
    key: groupKey(job),
    pin: job.pin,
    waiting: [],
    opening: new Map(),
    active: new Set(),
    finishing: new Set(),
  }
}

export function isEmpty({ waiting, opening, active, finishing }: Group): boolean {
  return waiting.length + opening.size + active.size + finishing.size === 0
}

/** The lanes that fit a call, the oldest first. */
export function choose({ active }: Group, cap: number): readonly ActiveJob[] {
  const ready = [...active].filter(({ isInCall }) => !isInCall)
  const alone = ready.find(({ isTriedAlone }) => isTriedAlone)
  if (alone !== undefined) return [alone]
  const chosen: ActiveJob[] = []
  let rows = 0
  for (const job of alike(ready)) {
    const more = rowsIn([job])
    if (rows > 0 && rows + more > cap) continue
    chosen.push(job)
    rows += more
  }
  return chosen
}

/** For exports with a scalar timestep, the noisiest: those that began later catch up, and from there on share calls. */
function alike(ready: readonly ActiveJob[]): readonly ActiveJob[] {
  if (ready[0]?.model.takesTimestepPerSample !== false) return ready
  const noisiest = Math.max(...ready.map(({ timestep }) => timestep))
  return ready.filter(({ timestep }) => timestep === noisiest)
}

export function rowsIn(jobs: Iterable<ActiveJob>): number {
  let rows = 0
  for (const { lane } of jobs) rows += rowsOf(lane.spec, lane.request)
  return rows
}
