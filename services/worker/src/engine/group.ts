import { rowsOf, stepsLeft } from '@darkroom/diffusion'
import type { Work } from './batch-sizes.ts'
import type { ActiveJob, Job } from './job.ts'

/** Jobs that can share a call of the denoiser: one checkpoint, one latent shape. Those that somebody waits for come first, then the oldest. */
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

export function enqueue({ waiting }: Group, job: Job): void {
  const { isInteractive = false } = job.request
  const place = isInteractive ? waiting.findIndex(({ request }) => !request.isInteractive) : -1
  waiting.splice(place === -1 ? waiting.length : place, 0, job)
}

/** Jobs that somebody waits for. */
export function interactiveIn({ active }: Group): readonly ActiveJob[] {
  return [...active].filter(({ isInteractive }) => isInteractive)
}

/** The lanes that fit a call: those that somebody waits for, then the oldest. */
export function choose({ active }: Group, cap: number): readonly ActiveJob[] {
  const free = [...active].filter(({ isInCall }) => !isInCall)
  const ready = free.toSorted((a, b) => Number(b.isInteractive) - Number(a.isInteractive))
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
  if (ready[0] === undefined || ready[0].model.takesTimestepPerSample) return ready
  const leaders = ready[0].isInteractive ? ready.filter(({ isInteractive }) => isInteractive) : ready
  const noisiest = Math.max(...leaders.map(({ timestep }) => timestep))
  return ready.filter(({ timestep }) => timestep === noisiest)
}

export function rowsIn(jobs: Iterable<ActiveJob>): number {
  let rows = 0
  for (const { lane } of jobs) rows += rowsOf(lane.spec, lane.request)
  return rows
}

/** Waiting jobs that are looked at: more of them change nothing. */
const FORESEEN = 64

/** What the group has to do, as far as it is foreseen; of jobs that have not begun it knows the steps that they ask for. */
export function workOf({ waiting, opening, active }: Group): Work {
  let [rowSteps, longest, laneRows] = [0, 0, 1]
  const add = (steps: number, rows: number): void => {
    rowSteps += steps * rows
    longest = Math.max(longest, steps)
    laneRows = Math.max(laneRows, rows)
  }
  for (const { lane } of active) add(stepsLeft(lane), rowsOf(lane.spec, lane.request))
  for (const [{ request }, rows] of opening) add(request.numInferenceSteps, rows)
  for (const { request } of waiting.slice(0, FORESEEN)) add(request.numInferenceSteps, laneRows)
  return { rowSteps, longest, laneRows }
}
