import type { Backlog } from './backlog.ts'
import { keyOf, meets } from './needs.ts'
import type { Offer } from './needs.ts'
import type { AttachedWorker, FarmState } from './state.ts'

/** Workers that cannot be told apart by what they have. */
export interface Profile {
  readonly offer: Offer
  /** Work that they may do. */
  readonly backlogs: Set<Backlog>
  /** Those that take work, by how many shards they have been given, to render or to audit. */
  readonly free: readonly FreeWorkers[]
  workers: number
}

export interface FreeWorkers {
  readonly all: Set<AttachedWorker>
  /** Those that have a checkpoint in memory, or will have. */
  readonly byCheckpoint: Map<string, Set<AttachedWorker>>
}

/** Beyond the window, for shards that somebody waits for: they share calls, and more of them would make all wait. */
export const INTERACTIVE_PLACES = 4

/** Where a worker stands in its profile. */
export interface Place {
  readonly free: FreeWorkers
  readonly carries: ReadonlySet<string>
}

export function joinProfile(farm: FarmState, offer: Offer): Profile {
  const key = keyOf(offer)
  let profile = farm.profiles.get(key)
  if (profile === undefined) {
    const fitting = farm.backlogs.values().filter(({ needs }) => meets(offer, needs))
    const free = Array.from({ length: farm.settings.window + INTERACTIVE_PLACES }, () => ({
      all: new Set<never>(),
      byCheckpoint: new Map(),
    }))
    profile = { offer, backlogs: new Set(fitting), free, workers: 0 }
    farm.profiles.set(key, profile)
  }
  profile.workers++
  return profile
}

export function leaveProfile(farm: FarmState, profile: Profile): void {
  profile.workers--
  if (profile.workers === 0) farm.profiles.delete(keyOf(profile.offer))
}

/** After a change of whether a worker takes work, what it has been given (audits too), or what it carries. */
export function placeWorker(farm: FarmState, worker: AttachedWorker): void {
  const given = worker.assigned.size + auditsOf(farm, worker)
  const free = farm.taking.has(worker.id) ? worker.profile.free[given] : undefined
  const { place } = worker
  if (place !== null && place.free === free && place.carries === worker.carries) return
  if (place !== null) remove(worker, place)
  if (free !== undefined) add(worker, { free, carries: worker.carries })
}

/** They take a device as long as any shard does. Few are under way at once. */
function auditsOf({ audits }: FarmState, { id }: AttachedWorker): number {
  return audits.values().reduce((sum, { workerId }) => sum + Number(workerId === id), 0)
}

function add(worker: AttachedWorker, place: Place): void {
  worker.place = place
  place.free.all.add(worker)
  for (const checkpoint of place.carries) {
    const carriers = place.free.byCheckpoint.get(checkpoint)
    if (carriers === undefined) place.free.byCheckpoint.set(checkpoint, new Set([worker]))
    else carriers.add(worker)
  }
}

function remove(worker: AttachedWorker, place: Place): void {
  worker.place = null
  place.free.all.delete(worker)
  for (const checkpoint of place.carries) {
    const carriers = place.free.byCheckpoint.get(checkpoint)!
    carriers.delete(worker)
    if (carriers.size === 0) place.free.byCheckpoint.delete(checkpoint)
  }
}

/** What a worker has in memory by its last word, or will have for the shards that it was given since. */
export function noteCarried(worker: AttachedWorker): void {
  const carries = new Set(worker.snapshot.residentCheckpoints)
  for (const { checkpoint } of worker.assigned) carries.add(checkpoint)
  if (carries.symmetricDifference(worker.carries).size > 0) worker.carries = carries
}
