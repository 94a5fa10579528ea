import { DarkroomError } from '@darkroom/chassis'
import { viewOpen } from '@darkroom/coordinator/internal'
import { BatchState } from '@darkroom/proto'
import type { ControlDocument, ItemRanges } from '@darkroom/proto'
import { BucketChecks } from './bucket-checks.ts'
import { FAULTS, isFarmFault } from './faults.ts'
import type { FaultKind } from './faults.ts'
import type { ItemWork, Nature } from './item.ts'
import { stateSize } from './state-size.ts'
import type { Invariant, Violation } from './violation.ts'
import type { Reaction, VirtualCoordinator } from './virtual-coordinator.ts'
import { soundTraits } from './virtual-device.ts'
import { VirtualFarm } from './virtual-farm.ts'

export interface SimulationOptions {
  readonly seed: number
  readonly workers: number
  /** Of all batches. */
  readonly items: number
  /** Each seed takes some of them. */
  readonly faults: readonly FaultKind[]
  /** Told what happens as it happens. */
  readonly trace?: (line: string) => void
  /** Done to the farm before it starts: how tests break it. */
  readonly tamper?: (farm: VirtualFarm) => void
}

export interface SimulationResult {
  readonly seed: number
  readonly events: number
  readonly virtualSeconds: number
  readonly violation: (Violation & { readonly atSeconds: number; readonly lastLines: readonly string[] }) | null
  readonly faults: ReadonlyMap<FaultKind, number>
  /** What coordinators did about them. */
  readonly reactions: ReadonlyMap<Reaction, number>
}

const SETTINGS = {
  window: 2,
  heartbeatIntervalMs: 1_000,
  workerLeaseMs: 5_000,
  progressLeaseMs: 30_000,
  auditShare: 0.1,
  targetShardSeconds: 10,
}
const SPEEDS = [1, 0.6, 0.25]
const CHECKPOINTS = ['model-a', 'model-b', 'model-c']
const BATCHES = 3
/** Kinds of faults that a seed has, on average. */
const KINDS_AT_ONCE = 8
const FAULTS_OF_KIND = 3
const FAULTS_UNTIL_MS = 60_000
const SYNC_MS = 10_000
const LOOK_MS = 2_000
/** After the last fault, until every batch must have ended. */
const PATIENCE_MS = 900_000
/** How long, after the last fault, a worker may be without work while there is some: the ack wait, the lease and some. */
const IDLE_BOUND_MS = 90_000
/** How long, after the last fault, two workers may render a shard that nobody wants twice: a few heartbeats. */
const TWICE_BOUND_MS = 6_000
/** Of every fourth farm the second batch shows this share of its items first, and the yes comes after so long. */
const ASKING = { everySeeds: 4, batch: 'b1', share: 1 / 3, approvedAfterMs: 25_000 }
/** Of every third farm some items of the third batch are cancelled, and others paused for a while. */
const CHANGING = { everySeeds: 3, batch: 'b2', changedAfterMs: 4_000, resumedAfterMs: 15_000, share: 0.3 }
type Edit = (stored: ControlDocument) => ControlDocument
/** Beyond the end, for those that come late. */
const AFTERMATH_MS = 30_000
const LINES_KEPT = 40
/** I12: things remembered for each worker, batch and open shard. */
const REMEMBERED_EACH = 40
/** Of the items of open shards, each run of indices: itself and its two ends. */
const THINGS_A_RUN = 3

/** One farm, one seed, its faults, every invariant looked at as it goes. The same options give the same run. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  return new Simulation(options).run()
}

class Simulation {
  readonly #options: SimulationOptions
  readonly #farm: VirtualFarm
  readonly #checks: BucketChecks
  readonly #counts = new Map<FaultKind, number>()
  readonly #reactions = new Map<Reaction, number>()
  /** How long workers have been without work, and shards without a worker. */
  readonly #waitedMs = new Map<string, number>()
  readonly #lines: string[] = []
  #violation: SimulationResult['violation'] = null
  #calmFromMs = 0
  #wasWiped = false

  constructor(options: SimulationOptions) {
    this.#options = options
    this.#farm = new VirtualFarm(options.seed, SETTINGS, {
      changed: (coordinator, batchId) => this.#changed(coordinator, batchId),
      errorSeen: (err) => this.#errorSeen(err),
      reacted: (reaction) => this.#reactions.set(reaction, (this.#reactions.get(reaction) ?? 0) + 1),
      renderBegun: (worker, { batchId, shardId, attempt }) => {
        this.#note(() => `${worker.id} renders ${batchId}/${shardId}, attempt ${attempt}`)
        this.#checks.renderBegun(batchId, shardId)
      },
      renderEnded: (_worker, seconds) => this.#checks.renderEnded(seconds),
      swapped: () => {},
      killedBy: (worker, { batchId, shardId }) => {
        this.#note(() => `${worker.id} is killed by ${batchId}/${shardId}`)
        // Started anew at once, under its name, or after a while under another.
        const isSame = this.#farm.random.chance(0.5)
        this.#farm.time.after(isSame ? 500 : 3_000, () =>
          this.#farm.addWorker(worker.traits, isSame ? worker.id : undefined),
        )
      },
    })
    this.#checks = new BucketChecks(this.#farm.bucket, (invariant, message) => this.#report(invariant, message))
    const check = this.#farm.bucket.onWrite
    this.#farm.bucket.onWrite = (key, body, before) => {
      this.#note(
        () => `stored ${key}${key.includes('/results/') ? ` ${(JSON.parse(body) as { kind: string }).kind}` : ''}`,
      )
      check(key, body, before)
    }
  }

  async run(): Promise<SimulationResult> {
    const { seed, workers, tamper } = this.#options
    const { time, random } = this.#farm
    tamper?.(this.#farm)
    const { faults } = this.#options
    const kinds = new Set(faults.filter(() => random.chance(KINDS_AT_ONCE / faults.length)))
    for (let n = 0; n < 2; n++) this.#farm.addCoordinator()
    for (let n = 0; n < workers; n++) this.#farm.addWorker(soundTraits({ speed: random.pick(SPEEDS) }))
    for (let n = 0; n < BATCHES; n++) this.#submit(`b${n}`, kinds)
    this.#schedule(kinds)
    this.#every(SYNC_MS, () =>
      [this.#farm.natsServer.shards, this.#farm.natsServer.completions].forEach((queue) => queue?.sync()),
    )
    this.#every(LOOK_MS, () => this.#look())
    let endsAtMs = Infinity
    await time.run(() => {
      const isQuiet = time.nowMs > Math.max(FAULTS_UNTIL_MS, this.#calmFromMs)
      if (endsAtMs === Infinity && isQuiet && this.#checks.unfinished.length === 0) endsAtMs = time.nowMs + AFTERMATH_MS
      return this.#violation !== null || time.nowMs > endsAtMs
    })
    const virtualSeconds = time.nowMs / 1000
    const counts = { faults: this.#counts, reactions: this.#reactions }
    return { seed, events: time.events, virtualSeconds, violation: this.#violation, ...counts }
  }

  #submit(id: string, kinds: ReadonlySet<FaultKind>): void {
    const { time, random } = this.#farm
    const count = Math.max(1, Math.round(this.#options.items / BATCHES))
    // One in some is of more than one segment, of items that take next to nothing.
    const isLong = random.chance(0.1)
    const items = Array.from({ length: isLong ? 1_100 : count }, (): ItemWork => {
      const nature: Nature =
        kinds.has('poison') && random.chance(isLong ? 0.001 : 0.05)
          ? random.pick(['fails', 'refused', 'kills'])
          : 'sound'
      return { checkpoint: random.pick(CHECKPOINTS), steps: isLong ? 1 : 1 + random.below(40), nature }
    })
    const natures = items.map(({ nature }) => nature)
    for (const nature of natures) if (nature !== 'sound') this.#count('poison')
    time.after(random.between(0, 20_000), () => {
      this.#note(() => `${id} is accepted: ${items.length} items`)
      this.#checks.accepted(id, natures)
      // Somebody waits for one of the batches.
      const isAsking = id === ASKING.batch && this.#options.seed % ASKING.everySeeds === 0 && items.length > 1
      const approveAfter = isAsking ? Math.ceil(items.length * ASKING.share) : undefined
      if (approveAfter !== undefined) {
        this.#checks.asked(id, approveAfter)
        time.after(ASKING.approvedAfterMs, () => this.#approve(id))
      }
      if (id === CHANGING.batch && this.#options.seed % CHANGING.everySeeds === 0)
        time.after(CHANGING.changedAfterMs, () => this.#changeItems(id, items.length))
      const isInteractive = id === 'b0' && !isLong
      this.#farm.accept(id, items, { isInteractive, ...(approveAfter !== undefined && { approveAfter }) })
      if (kinds.has('unheardSubmit') && random.chance(0.5)) this.#count('unheardSubmit')
      else void this.#farm.pickLeader()?.submit(id)
    })
    if (!kinds.has('cancel') || !random.chance(0.5)) return
    time.after(random.between(21_000, 50_000), () => {
      this.#count('cancel')
      this.#cancel(id)
    })
  }

  #approve(id: string): void {
    this.#update(id, 'approved', (stored) => ({ ...stored, isApproved: true }))
  }

  /** Of both kinds some run of items, which the seed chooses. */
  #changeItems(id: string, count: number): void {
    const runOf = (salt: number): ItemRanges => {
      const first = (this.#options.seed * salt) % count
      return [[first, Math.min(count - 1, first + Math.floor(CHANGING.share * count))]]
    }
    const [cancelled, paused] = [runOf(7), runOf(11)]
    const change: Edit = (stored) => ({ ...stored, cancelledItems: cancelled, pausedItems: paused })
    const resume = (): void => this.#update(id, 'resumed', (stored) => ({ ...stored, pausedItems: [] }))
    this.#update(id, 'changed in some items', change, () => {
      this.#farm.time.after(CHANGING.resumedAfterMs, resume)
    })
  }

  #update(id: string, what: string, edit: Edit, then = (): void => {}): void {
    this.#insist(id, what, (leader, onAcknowledged) =>
      leader.update(id, edit, () => {
        onAcknowledged()
        then()
      }),
    )
  }

  #cancel(id: string): void {
    this.#insist(id, 'cancelled', (leader, onAcknowledged) =>
      leader.cancel(id, () => {
        onAcknowledged()
        this.#note(() => `the cancellation of ${id} is acknowledged`)
        this.#checks.cancelAcknowledged(id)
      }),
    )
  }

  /** As a client that asks again until it has an answer. */
  #insist(
    id: string,
    what: string,
    ask: (leader: VirtualCoordinator, onAcknowledged: () => void) => Promise<void>,
  ): void {
    if (this.#farm.isDone(id)) return
    this.#note(() => `${id} is to be ${what}`)
    let isAcknowledged = false
    const leader = this.#farm.pickLeader()
    if (leader !== null) void ask(leader, () => (isAcknowledged = true))
    this.#farm.time.after(10_000, () => {
      if (!isAcknowledged) this.#insist(id, what, ask)
    })
  }

  #schedule(kinds: ReadonlySet<FaultKind>): void {
    const { time, random } = this.#farm
    for (const kind of kinds) {
      if (!isFarmFault(kind)) continue
      for (let left = 1 + random.below(FAULTS_OF_KIND); left > 0; left--) {
        time.after(random.between(1_000, FAULTS_UNTIL_MS), () => {
          this.#count(kind)
          this.#wasWiped ||= kind === 'natsWipe'
          const forMs = FAULTS[kind](this.#farm)
          this.#note(() => `fault ${kind} for ${forMs.toFixed(0)} ms`)
          this.#calmFromMs = Math.max(this.#calmFromMs, time.nowMs + forMs)
        })
      }
    }
  }

  /** Now and then: what is not bound to one event. */
  #look(): void {
    const { time, coordinators } = this.#farm
    const nowMs = time.nowMs
    for (const [place, coordinator] of coordinators.entries()) {
      if (coordinator.process.isAlive) continue
      // Its supervisor starts it anew.
      coordinators.splice(place, 1)
      this.#farm.time.after(this.#farm.random.between(500, 5_000), () => this.#farm.addCoordinator())
      this.#note(() => `${coordinator.process.name} is dead`)
      break
    }
    if (nowMs - this.#calmFromMs > PATIENCE_MS && this.#checks.unfinished.length > 0)
      this.#report(this.#wasWiped ? 'I2' : 'I1', `${this.#checks.unfinished.join(', ')} never ended`)
    this.#lookForIdleness()
    this.#lookForDoubles()
    for (const { term } of coordinators) {
      if (term === null) continue
      const { state } = term.farm
      const shards = [...state.batches.values()].flatMap((batch) => [...batch.open.values()])
      const open = shards.length
      const items = shards.reduce((sum, { itemCount }) => sum + itemCount, 0)
      const bound = REMEMBERED_EACH * (10 + state.workers.size + state.batches.size + open) + THINGS_A_RUN * items
      const size = stateSize(state)
      if (size > bound) this.#report('I12', `the state holds ${size} things for ${open} open shards`)
    }
  }

  /** I8: a worker without work and work without a worker, both for longer than anything takes to be noticed. */
  #lookForIdleness(): void {
    const { time, workers } = this.#farm
    const isCalm = time.nowMs > this.#calmFromMs
    for (const worker of workers.values()) if (!worker.process.isAlive) workers.delete(worker.id)
    const held = new Set<string>()
    for (const worker of workers.values()) {
      for (const { batchId, shardId } of worker.held) held.add(`${batchId}/${shardId}`)
      const isTaking = worker.isAttached && !worker.isDraining && !this.#isQuarantined(worker.id)
      this.#wait(worker.id, isCalm && isTaking && worker.held.length === 0)
    }
    const idle = workers.keys().find((id) => this.#waitedMs.get(id)! >= IDLE_BOUND_MS)
    for (const { batchId, shardId } of this.#checks.runnable()) {
      const shard = `${batchId}/${shardId ?? 'unplanned'}`
      this.#wait(shard, isCalm && !held.has(shard))
      if (idle === undefined || this.#waitedMs.get(shard)! < IDLE_BOUND_MS) continue
      return this.#report(
        this.#wasWiped ? 'I2' : 'I8',
        `${idle} has had nothing to do and ${shard} nobody for ${IDLE_BOUND_MS / 1000} s`,
      )
    }
  }

  /** I14: a shard that two workers render, of which the leader wants but one. */
  #lookForDoubles(): void {
    const { time, workers } = this.#farm
    const leaders = this.#farm.coordinators.filter(({ term }) => term !== null)
    const isCalm = time.nowMs > this.#calmFromMs && leaders.length === 1
    for (const { batchId, shardId } of this.#checks.runnable()) {
      if (shardId === null) continue
      const holders = [...workers.values()].filter(
        (worker) => worker.isAttached && !worker.isDraining && worker.goesOnWith(batchId, shardId),
      )
      // Null where it is not hedged; undefined while the leader does not know the shard.
      const hedge = leaders[0]?.term?.farm.state.batches.get(batchId)?.open.get(shardId)?.hedge
      const who = `${batchId}/${shardId} twice`
      this.#wait(who, isCalm && holders.length > 1 && hedge === null)
      if (this.#waitedMs.get(who)! < TWICE_BOUND_MS) continue
      const names = holders.map(({ id }) => id).join(' and ')
      this.#report('I14', `${names} have both rendered ${batchId}/${shardId} for ${TWICE_BOUND_MS / 1000} s`)
    }
  }

  #isQuarantined(workerId: string): boolean {
    return this.#farm.coordinators.some(({ term }) => term?.farm.state.suspects.quarantined.has(workerId))
  }

  #wait(who: string, isWaiting: boolean): void {
    this.#waitedMs.set(who, isWaiting ? (this.#waitedMs.get(who) ?? 0) + LOOK_MS : 0)
  }

  #changed({ term, process }: VirtualCoordinator, batchId: string): void {
    const open = term?.farm.state.batches.get(batchId)
    if (open === undefined || !process.isAlive) return
    const { items, state } = viewOpen(open, this.#farm.time.nowMs)
    this.#checks.told(batchId, items!, state === BatchState.FINALIZING)
  }

  #errorSeen(err: unknown): void {
    const { code } = DarkroomError.from(err)
    if (code === 'STORE_UNAVAILABLE' || code === 'NATS_UNAVAILABLE') return
    const { message, stack } = err instanceof Error ? err : new Error(String(err))
    this.#report('bug', `${message}\n${stack ?? ''}`)
  }

  #report(invariant: Invariant, message: string): void {
    if (this.#violation !== null) return
    const atSeconds = this.#farm.time.nowMs / 1000
    this.#note(() => `VIOLATION of ${invariant}: ${message}`)
    this.#violation = { invariant, message, atSeconds, lastLines: [...this.#lines] }
  }

  #count(kind: FaultKind): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1)
  }

  #every(intervalMs: number, action: () => void): void {
    this.#farm.time.after(intervalMs, () => {
      action()
      this.#every(intervalMs, action)
    })
  }

  #note(text: () => string): void {
    const line = `${(this.#farm.time.nowMs / 1000).toFixed(3).padStart(9)} s  ${text()}`
    this.#options.trace?.(line)
    this.#lines.push(line)
    if (this.#lines.length > LINES_KEPT) this.#lines.shift()
  }
}
