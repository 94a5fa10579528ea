import type { VirtualCoordinator } from './virtual-coordinator.ts'
import type { WorkerTraits } from './virtual-device.ts'
import type { VirtualFarm } from './virtual-farm.ts'
import type { VirtualWorker } from './virtual-worker.ts'

/** One fault, done to a farm at a moment. @returns how long it lasts, ms */
type Fault = (farm: VirtualFarm) => number

const between = (farm: VirtualFarm, low: number, high: number): number => farm.random.between(low, high)

function onWorker(harm: (farm: VirtualFarm, worker: VirtualWorker) => number): Fault {
  return (farm) => {
    const alive = [...farm.workers.values()].filter(({ process, isDraining }) => process.isAlive && !isDraining)
    return alive.length === 0 ? 0 : harm(farm, farm.random.pick(alive))
  }
}

function onCoordinator(harm: (farm: VirtualFarm, coordinator: VirtualCoordinator) => number): Fault {
  return (farm) => {
    const alive = farm.coordinators.filter(({ process }) => process.isAlive)
    const leaders = alive.filter(({ term }) => term !== null)
    const from = leaders.length > 0 && farm.random.chance(0.8) ? leaders : alive
    return from.length === 0 ? 0 : harm(farm, farm.random.pick(from))
  }
}

/** Another comes in its place, after a while: under its name, as where a supervisor starts it anew, or under one of its own. */
function replace(farm: VirtualFarm, { traits, id }: VirtualWorker): number {
  const afterMs = between(farm, 300, 10_000)
  const name = farm.random.chance(0.5) ? id : undefined
  farm.time.after(afterMs, () => farm.addWorker(traits, name))
  return afterMs
}

/** Never on top of itself: nobody could tell a worker that is a thousand times as slow from one that is lost. */
function trait(
  change: (traits: WorkerTraits) => void,
  undo: (traits: WorkerTraits) => void,
  [lowMs, highMs] = [5_000, 30_000],
): Fault {
  const changed = new WeakSet<WorkerTraits>()
  return onWorker((farm, { traits }) => {
    if (changed.has(traits)) return 0
    const forMs = between(farm, lowMs, highMs)
    changed.add(traits)
    change(traits)
    farm.time.after(forMs, () => {
      changed.delete(traits)
      undo(traits)
    })
    return forMs
  })
}

function natsDown(storage: 'kept' | 'synced' | 'lost'): Fault {
  return (farm) => {
    const forMs = between(farm, 200, 8_000)
    if (farm.natsServer.isUp) farm.natsServer.goDown(forMs, storage)
    return forMs
  }
}

/** Sets something for a while. */
function during(set: (farm: VirtualFarm, isOn: boolean) => void, lowMs: number, highMs: number): Fault {
  return (farm) => {
    const forMs = between(farm, lowMs, highMs)
    set(farm, true)
    farm.time.after(forMs, () => set(farm, false))
    return forMs
  }
}

/** Consumers of a stream are given nothing for a while. */
function stall(name: 'shards' | 'completions'): Fault {
  return during(
    ({ natsServer: { [name]: queue } }, isOn) => {
      if (queue === null) return
      queue.isStalled = isOn
      queue.pump()
    },
    2_000,
    30_000,
  )
}

export const FAULTS = {
  workerCrash: onWorker((farm, worker) => {
    worker.crash()
    return replace(farm, worker)
  }),
  workerVanish: onWorker((farm, worker) => {
    worker.vanish()
    return replace(farm, worker)
  }),
  workerHang: onWorker((farm, worker) => {
    const forMs = between(farm, 2_000, 90_000)
    worker.process.freeze(forMs)
    return forMs
  }),
  spotLoss: onWorker((farm, worker) => {
    void worker.drain(between(farm, 1_000, 10_000))
    return replace(farm, worker)
  }),
  linkBreak: onWorker((_farm, worker) => {
    worker.breakLink()
    return 0
  }),
  slowSwap: trait(
    (traits) => (traits.swapSeconds *= 10),
    (traits) => (traits.swapSeconds /= 10),
  ),
  slowFirstStep: trait(
    (traits) => (traits.firstStepSeconds += 15),
    (traits) => (traits.firstStepSeconds -= 15),
  ),
  straggler: trait(
    (traits) => (traits.speed /= 5),
    (traits) => (traits.speed *= 5),
  ),
  workerStuck: trait(
    (traits) => (traits.isStuck = true),
    (traits) => (traits.isStuck = false),
    [10_000, 120_000],
  ),
  workerBroken: trait(
    (traits) => (traits.isBroken = true),
    (traits) => (traits.isBroken = false),
    [5_000, 60_000],
  ),
  otherPixels: trait(
    (traits) => (traits.isWrong = true),
    (traits) => (traits.isWrong = false),
    [5_000, 60_000],
  ),
  natsOutage: natsDown('kept'),
  natsLostTail: natsDown('synced'),
  natsWipe: natsDown('lost'),
  natsLostAnswers: during((farm, isOn) => (farm.natsServer.lostAnswerRate = isOn ? 0.3 : 0), 2_000, 20_000),
  shardStall: stall('shards'),
  completionStall: stall('completions'),
  maxDeliveries: during(
    ({ natsServer: { shards } }, isOn) => {
      if (shards !== null) shards.maxDeliver = isOn ? 1 : -1
    },
    5_000,
    60_000,
  ),
  storeSlow: during(({ storeWeather }, isOn) => (storeWeather.latencyMs = isOn ? 1_000 : 20), 5_000, 30_000),
  storeErrors: during(({ storeWeather }, isOn) => (storeWeather.errorRate = isOn ? 0.3 : 0), 5_000, 30_000),
  storeOutage: during(({ storeWeather }, isOn) => (storeWeather.isDown = isOn), 1_000, 30_000),
  storeLostAnswers: during(({ storeWeather }, isOn) => (storeWeather.lostAnswerRate = isOn ? 0.3 : 0), 5_000, 30_000),
  coordinatorCrash: onCoordinator((farm, coordinator) => {
    coordinator.process.dieAtCall(farm.random.below(12), farm.random.chance(0.5) ? 'before' : 'after')
    return 10_000
  }),
  coordinatorHang: onCoordinator((farm, coordinator) => {
    const forMs = between(farm, 1_000, 20_000)
    coordinator.process.freeze(forMs)
    return forMs
  }),
  twoLeaders: onCoordinator((farm) => {
    const standby = farm.coordinators.filter(({ process, term }) => process.isAlive && term === null)
    if (standby.length === 0) return 0
    const forMs = between(farm, 2_000, 30_000)
    farm.random.pick(standby).usurp(forMs)
    return forMs
  }),
  clockJump: onCoordinator((farm, coordinator) => {
    coordinator.clockOffsetMs += between(farm, -3_600_000, 3_600_000)
    return 10_000
  }),
} as const satisfies Record<string, Fault>

/** Faults of what a user hands in or asks for, beside those of the farm. */
const REQUESTS = ['poison', 'cancel', 'unheardSubmit'] as const

export type FaultKind = keyof typeof FAULTS | (typeof REQUESTS)[number]

export const FAULT_KINDS: readonly FaultKind[] = [...(Object.keys(FAULTS) as (keyof typeof FAULTS)[]), ...REQUESTS]

export function isFarmFault(kind: FaultKind): kind is keyof typeof FAULTS {
  return Object.hasOwn(FAULTS, kind)
}
