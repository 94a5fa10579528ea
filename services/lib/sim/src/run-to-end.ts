import type { CommitRecord } from '@darkroom/proto'
import { SECONDS_PER_STEP } from './item.ts'
import { soundTraits } from './virtual-device.ts'
import { VirtualFarm } from './virtual-farm.ts'

export interface Undertaking {
  readonly seed: number
  /** Seconds on a device of speed 1. */
  readonly items: readonly { readonly checkpoint: string; readonly seconds: number }[]
  readonly workers: readonly { readonly speed: number; readonly swapSeconds: number }[]
  /** Of the workers, those that are killed in an hour; each is replaced at once by an empty one. */
  readonly killedPerHour: number
  /** Of the workers, a share from 0 to 1 that is gone for good at a moment, without a word. */
  readonly vanishing?: { readonly share: number; readonly atSeconds: number }
}

export interface Outcome {
  /** Virtual seconds from the batch's submit to its end. */
  readonly seconds: number
  /** How often checkpoints were loaded. */
  readonly swaps: number
  /** Device seconds beyond those in commit records, over these. */
  readonly duplicatedWork: number
  /** Seconds of all workers, from the submit to the end or to when they were gone. */
  readonly workerSeconds: number
  /** Of those, what devices computed. */
  readonly busySeconds: number
}

/** Heartbeats are rare, to be quick; shards are as small as items are. */
const SETTINGS = {
  window: 2,
  heartbeatIntervalMs: 5_000,
  workerLeaseMs: 30_000,
  progressLeaseMs: Number.MAX_SAFE_INTEGER,
  auditShare: 0,
  targetShardSeconds: 1,
}
const ID = 'b0'
/** By then somebody leads, and all workers have said what they have. */
const ATTACHED_MS = 15_000
const HOUR_MS = 3_600_000

/** One batch on a farm whose only trouble is that workers are killed now and then, or that many are gone at once. */
export async function runToEnd({ seed, items, workers, killedPerHour, vanishing }: Undertaking): Promise<Outcome> {
  let swaps = 0
  let busySeconds = 0
  const farm = new VirtualFarm(seed, SETTINGS, {
    changed: () => {},
    errorSeen: () => {},
    reacted: () => {},
    renderBegun: () => {},
    renderEnded: (_worker, seconds) => (busySeconds += seconds),
    swapped: () => swaps++,
    killedBy: () => {},
  })
  let committedSeconds = 0
  farm.bucket.onWrite = (key, body) => {
    const record = key.includes('/results/') ? (JSON.parse(body) as CommitRecord) : null
    if (record?.kind === 'rendered') committedSeconds += record.deviceSeconds
  }
  const work = items.map(({ checkpoint, seconds }) => {
    return { checkpoint, steps: Math.max(1, Math.round(seconds / SECONDS_PER_STEP)), nature: 'sound' as const }
  })
  const coordinator = farm.addCoordinator()
  for (const { speed, swapSeconds } of workers) farm.addWorker(soundTraits({ speed, swapSeconds }))
  await farm.time.run(() => farm.time.nowMs >= ATTACHED_MS)
  farm.accept(ID, work)
  void coordinator.submit(ID)
  if (killedPerHour > 0) killNowAndThen(farm, HOUR_MS / (killedPerHour * workers.length))
  const gone = Math.min(Math.round((vanishing?.share ?? 0) * workers.length), workers.length - 1)
  if (vanishing !== undefined) farm.time.after(1000 * vanishing.atSeconds, () => vanish(farm, gone))
  await farm.time.run(() => farm.isDone(ID))
  const seconds = (farm.time.nowMs - ATTACHED_MS) / 1000
  const goneSeconds = Math.max(0, seconds - (vanishing?.atSeconds ?? seconds))
  return {
    seconds,
    swaps,
    duplicatedWork: busySeconds / committedSeconds - 1,
    workerSeconds: seconds * workers.length - goneSeconds * gone,
    busySeconds,
  }
}

function vanish(farm: VirtualFarm, count: number): void {
  for (const worker of [...farm.workers.values()].slice(0, count)) {
    worker.vanish()
    farm.workers.delete(worker.id)
  }
}

function killNowAndThen(farm: VirtualFarm, meanMs: number): void {
  farm.time.after(-Math.log(1 - farm.random.next()) * meanMs, () => {
    const worker = farm.random.pick([...farm.workers.values()])
    worker.crash()
    farm.workers.delete(worker.id)
    farm.addWorker(worker.traits)
    killNowAndThen(farm, meanMs)
  })
}
