import type { Random } from '@darkroom/sim/random'
import { setTimeout as delay } from 'node:timers/promises'
import type { ChaosFarm } from './chaos-farm.ts'

/** A fault from its beginning to its end. @returns whom it struck */
type Fault = (farm: ChaosFarm, random: Random) => Promise<string>

const SECONDS = { low: 2_000, high: 8_000 }
/** Longer than the leases of coordinators and workers, so that others take over meanwhile. */
const BEYOND_LEASES_MS = 9_000

function between(random: Random): number {
  return random.between(SECONDS.low, SECONDS.high)
}

/** Killed, and started again after a while, as its supervisor does. */
function killed(choose: (farm: ChaosFarm, random: Random) => string, signal: NodeJS.Signals): Fault {
  return async (farm, random) => {
    const name = choose(farm, random)
    await farm.end(name, signal)
    await delay(random.between(0, 2_000))
    await farm.restart(name)
    return name
  }
}

function stopped(choose: (farm: ChaosFarm, random: Random) => Promise<string>, forMs: number): Fault {
  return async (farm, random) => {
    const name = await choose(farm, random)
    const goOn = farm.stop(name)
    await delay(forMs)
    goOn()
    return name
  }
}

function link(state: 'slow' | 'cut' | 'silent' | 'unavailable', names?: readonly string[]): Fault {
  return async ({ links }, random) => {
    const name = random.pick(names ?? links.names)
    await links.become(name, state)
    await delay(between(random))
    await links.become(name, 'open')
    return name
  }
}

const anyWorker = ({ workers }: ChaosFarm, random: Random): string => random.pick(workers)
const anyCoordinator = ({ coordinators }: ChaosFarm, random: Random): string => random.pick(coordinators)

export const FAULTS = {
  workerKill: killed(anyWorker, 'SIGKILL'),
  workerDrain: killed(anyWorker, 'SIGTERM'),
  workerFreeze: stopped(async (farm, random) => anyWorker(farm, random), BEYOND_LEASES_MS),
  coordinatorKill: killed(anyCoordinator, 'SIGKILL'),
  leaderFreeze: stopped(
    async (farm, random) => (await farm.leader()) ?? anyCoordinator(farm, random),
    BEYOND_LEASES_MS,
  ),
  gatewayKill: killed(() => 'gateway', 'SIGKILL'),
  natsKill: async ({ farm }) => farm.killNats().then(() => 'nats'),
  natsWipe: async ({ farm }) => farm.wipeNats().then(() => 'nats'),
  natsFreeze: stopped(async () => 'nats', 5_000),
  linkSlow: link('slow'),
  linkCut: link('cut'),
  linkSilent: link('silent'),
  storeUnavailable: link('unavailable', ['worker-s3', 'coordinator-s3', 'gateway-s3']),
  diskFull: async ({ disk }, random) => {
    disk.fill()
    await delay(between(random))
    disk.free()
    return 's3'
  },
} as const satisfies Record<string, Fault>

export type FaultKind = keyof typeof FAULTS

/** What a fault touches: two at a time never touch the same. */
export function targetOf(kind: FaultKind): string {
  return /^(?:worker|coordinator|leader|gateway|nats|link|store|disk)/
    .exec(kind)![0]
    .replace('leader', 'coordinator')
    .replace('store', 'link')
}
