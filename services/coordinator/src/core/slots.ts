import type { Backlog } from './backlog.ts'
import { Heap } from './heap.ts'
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

/** The quickest first; of equals, the one that has waited for the longest. */
export interface FreeWorkers {
  readonly all: Heap<AttachedWorker>
  /** Those that have a checkpoint in memory, or will have. */
  readonly byCheckpoint: Map<string, Heap<AttachedWorker>>
}

/** Beyond the window, for shards that somebody waits for: they share calls, and more of them would make all wait. */
export const INTERACTIVE_PLACES = 4

/** Where a worker stands in its profile. */
export interface Place {
  readonly free: FreeWorkers
  readonly carries: ReadonlySet<string>
  /** The later, the greater. */
  readonly turn: number
}

export function joinProfile(farm: FarmState, offer: Offer): Profile {
  const key = keyOf(offer)
  let profile = farm.profiles.get(key)
  if (profile === undefined) {
    const fitting = farm.backlogs.values().filter(({ needs }) => meets(offer, needs))
    const free = Array.from({ length: farm.settings.window + INTERACTIVE_PLACES }, () => ({
      all: new Heap(isQuicker),
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
  if (free !== undefined) add(farm, worker, { free, carries: worker.carries })
}

/** They take a device as long as any shard does. Few are under way at once. */
function auditsOf({ audits }: FarmState, { id }: AttachedWorker): number {
  return audits.values().reduce((sum, { workerId }) => sum + Number(workerId === id), 0)
}

function add(farm: FarmState, worker: AttachedWorker, { free, carries }: Omit<Place, 'turn'>): void {
  worker.place = { free, carries, turn: farm.placings++ }
  for (const checkpoint of carries)
    if (!free.byCheckpoint.has(checkpoint)) free.byCheckpoint.set(checkpoint, new Heap(isQuicker))
  order(worker)
}

/** After a change of how quick a worker is. */
export function order(worker: AttachedWorker): void {
  if (worker.place === null) return
  const { free, carries } = worker.place
  free.all.put(worker)
  for (const checkpoint of carries) free.byCheckpoint.get(checkpoint)!.put(worker)
}

function isQuicker(a: AttachedWorker, b: AttachedWorker): boolean {
  return a.slowness === b.slowness ? a.place!.turn < b.place!.turn : a.slowness < b.slowness
}

function remove(worker: AttachedWorker, place: Place): void {
  place.free.all.delete(worker)
  for (const checkpoint of place.carries) {
    const carriers = place.free.byCheckpoint.get(checkpoint)!
    carriers.delete(worker)
    if (carriers.size === 0) place.free.byCheckpoint.delete(checkpoint)
  }
  worker.place = null
}

/** What a worker has in memory by its last word, or will have for the shards that it was given since. */
export function noteCarried(worker: AttachedWorker): void {
  const carries = new Set(worker.snapshot.residentCheckpoints)
  for (const { checkpoint } of worker.assigned) carries.add(checkpoint)
  if (carries.symmetricDifference(worker.carries).size > 0) worker.carries = carries
}
