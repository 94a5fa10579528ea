import { meets } from './needs.ts'
import type { Needs } from './needs.ts'
import { secondsInHand, secondsOn } from './pace.ts'
import type { Profile } from './slots.ts'
import type { AttachedWorker, FarmState, OpenShard } from './state.ts'
import { swapSeconds } from './swaps.ts'

/** Workers of one profile. */
interface Workers {
  /** How many they are, a slow one for less, and one that has other checkpoints too for a part. */
  speed: number
  /** When each has nothing in hand; of those that are slower than another and have more in hand too, none. */
  readonly workers: { readonly secondsInHand: number; readonly slowness: number }[]
}

type ByProfile = ReadonlyMap<Profile, Workers>

/** What all workers have in hand, and those that have a checkpoint or will have it, as it was at the last tick. */
export interface Outlook {
  readonly all: ByProfile
  readonly byCheckpoint: ReadonlyMap<string, ByProfile>
}

/** Estimates are not exact: who is about as soon done as the others takes it. */
const TOLERANCE = 1.01
/** Of the time that others are expected to take for what waits: that one ends late costs more than that a slow one idles a little. */
const CAUTION = 0.85

export function takeOutlook(farm: FarmState, nowMs: number): Outlook {
  const all = new Map<Profile, Workers>()
  const byCheckpoint = new Map<string, Map<Profile, Workers>>()
  const workers = [...farm.taking].map((id) => {
    const worker = farm.workers.get(id)!
    return { worker, seconds: secondsInHand(farm, worker, nowMs) }
  })
  for (const { worker, seconds } of workers.toSorted((a, b) => a.seconds - b.seconds)) {
    addTo(all, worker, seconds, 1)
    for (const checkpoint of worker.carries) {
      const carriers = byCheckpoint.get(checkpoint) ?? new Map<Profile, Workers>()
      byCheckpoint.set(checkpoint, carriers)
      addTo(carriers, worker, seconds, 1 / worker.carries.size)
    }
  }
  return { all, byCheckpoint }
}

/** By growing seconds. */
function addTo(
  profiles: Map<Profile, Workers>,
  { profile, slowness }: AttachedWorker,
  seconds: number,
  part: number,
): void {
  const group = profiles.get(profile) ?? { speed: 0, workers: [] }
  profiles.set(profile, group)
  group.speed += part / slowness
  const last = group.workers.at(-1)
  if (last === undefined || slowness < last.slowness) group.workers.push({ secondsInHand: seconds, slowness })
}

/** Seconds on a device that nobody knows: of all that waits, and of what wants the same checkpoint. */
export interface Waiting {
  readonly seconds: number
  readonly secondsOfCheckpoint: number
}

/**
 * Whether a worker would be done with a shard sooner than others, were all that waits left to them. Towards the end of all work a slow
 * worker, or one that has to load first, would be the last.
 */
export function isDoneSooner(
  farm: FarmState,
  { worker, shard }: { readonly worker: AttachedWorker; readonly shard: OpenShard },
  needs: Needs,
  waiting: Waiting,
  nowMs: number,
): boolean {
  const { checkpoint } = shard
  // What a load is worth against work that nobody knows cannot be told.
  if (waiting.seconds === Infinity || !farm.costs.hasMeasured(checkpoint)) return true
  const load = swapSeconds(farm.swaps)
  const carriers = farm.outlook.byCheckpoint.get(checkpoint) ?? new Map()
  const byOthers = Math.min(
    load + secondsBy(farm, farm.outlook.all, shard, needs, waiting.seconds),
    secondsBy(farm, carriers, shard, needs, waiting.secondsOfCheckpoint),
  )
  const loads = worker.carries.has(checkpoint) ? 0 : load
  const own = secondsInHand(farm, worker, nowMs) + loads + secondsOn(farm, worker, shard)
  return own <= TOLERANCE * byOthers
}

/** Until these are done with a shard: what waits before it, shared among them, and then the one that has it soonest. */
function secondsBy(
  farm: FarmState,
  profiles: ByProfile,
  { checkpoint, work, seconds }: OpenShard,
  needs: Needs,
  secondsWaiting: number,
): number {
  let [shardsPerSecond, soonest] = [0, Infinity]
  for (const [{ offer }, { speed, workers }] of profiles) {
    if (!meets(offer, needs)) continue
    const each = farm.costs.seconds({ checkpoint, deviceKind: offer.deviceKind }, work)
    shardsPerSecond += speed / each
    for (const { secondsInHand, slowness } of workers) soonest = Math.min(soonest, secondsInHand + slowness * each)
  }
  if (shardsPerSecond === 0) return Infinity
  return (CAUTION * Math.max(0, secondsWaiting / seconds - 1)) / shardsPerSecond + soonest
}
