import { SECONDS_PER_STEP } from './item.ts'
import { soundTraits } from './virtual-device.ts'
import { VirtualFarm } from './virtual-farm.ts'

export interface Undertaking {
  readonly seed: number
  /** Seconds on a device of speed 1. */
  readonly items: readonly { readonly checkpoint: string; readonly seconds: number }[]
  readonly workers: readonly { readonly speed: number; readonly swapSeconds: number }[]
}

/** Heartbeats are rare, as nothing goes wrong; shards are as small as items are. */
const SETTINGS = {
  window: 2,
  heartbeatIntervalMs: 5_000,
  workerLeaseMs: 30_000,
  progressLeaseMs: 600_000,
  targetShardSeconds: 1,
}
const ID = 'b0'

/** One batch on a farm in which nothing goes wrong. @returns virtual seconds until its end, and how often checkpoints were loaded */
export async function runToEnd({ seed, items, workers }: Undertaking): Promise<{ seconds: number; swaps: number }> {
  let swaps = 0
  const farm = new VirtualFarm(seed, SETTINGS, {
    changed: () => {},
    errorSeen: () => {},
    reacted: () => {},
    renderBegun: () => {},
    renderEnded: () => {},
    swapped: () => swaps++,
    killedBy: () => {},
  })
  const work = items.map(({ checkpoint, seconds }) => {
    return { checkpoint, steps: Math.max(1, Math.round(seconds / SECONDS_PER_STEP)), nature: 'sound' as const }
  })
  farm.accept(ID, work)
  farm.addCoordinator()
  for (const { speed, swapSeconds } of workers) farm.addWorker(soundTraits({ speed, swapSeconds }))
  await farm.time.run(() => farm.isDone(ID))
  return { seconds: farm.time.nowMs / 1000, swaps }
}
