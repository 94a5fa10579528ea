import { create } from '@bufbuild/protobuf'
import { DeviceSchema } from '@darkroom/proto'
import type { Worker } from '@darkroom/proto'
import { ITEMS_PER_SHARD, ofType, openedOf, resultOf, SETTINGS, workerOf } from './decide.harness.ts'
import { decide } from './decide.ts'
import type { FarmCommand, FarmEvent, SegmentSummary } from './messages.ts'
import { createState } from './state.ts'
import type { FarmSettings } from './state.ts'

export const GPU = create(DeviceSchema, { kind: 'cuda', name: 'some card' })

interface Held {
  readonly batchId: string
  readonly shardId: string
  readonly attempt: number
  stepsDone: number
}

/** The core with workers that take what they are given and report it, on a clock that is moved by hand. */
export class PlayedFarm {
  readonly state
  nowMs = 0
  readonly commands: FarmCommand[] = []
  readonly #workers = new Map<string, { held: Held[]; activity: bigint; changes: Partial<Worker> }>()
  #sequence = 0

  constructor(settings: Partial<FarmSettings> = {}) {
    this.state = createState({ ...SETTINGS, window: 1, ...settings }, 0)
  }

  worker(id: string, changes: Partial<Worker> = {}): void {
    this.#workers.set(id, {
      held: [],
      activity: 0n,
      changes: { device: GPU, residentCheckpoints: ['emoji-ddpm'], ...changes },
    })
    this.heartbeat(id)
  }

  open(...segments: readonly SegmentSummary[]): void {
    this.send(openedOf('b1', segments.length, 1, segments))
  }

  send(event: FarmEvent): FarmCommand[] {
    const commands = decide(this.state, event, this.nowMs)
    this.commands.push(...commands)
    for (const { batchId, shardId, attempt, workerId } of ofType(commands, 'dispatch')) {
      this.#workers.get(workerId)!.held.push({ batchId, shardId, attempt, stepsDone: 0 })
      this.send({ type: 'shardDispatched', batchId, shardId, attempt, sequence: ++this.#sequence })
      this.heartbeat(workerId)
    }
    for (const { workerId, shardId, attempt } of ofType(commands, 'cancelOnWorker'))
      this.#drop(workerId, shardId, attempt)
    return commands
  }

  /** @param done what it has got done since its last word */
  heartbeat(id: string, done = 0): void {
    const worker = this.#workers.get(id)!
    worker.activity += BigInt(done)
    for (const held of worker.held) held.stepsDone += done
    const running = worker.held.map((held) => ({ ...held, stepsTotal: 10 }))
    this.send({
      type: 'workerSeen',
      worker: { ...workerOf(id, running), ...worker.changes, activity: worker.activity },
    })
  }

  /** Time passes; every worker that still lives is heard of, and only those that are named advance. */
  pass(ms: number, advancing: readonly string[] = [], silent: readonly string[] = []): FarmCommand[] {
    const before = this.commands.length
    const end = this.nowMs + ms
    while (this.nowMs < end) {
      this.nowMs = Math.min(end, this.nowMs + 1_000)
      for (const id of this.#workers.keys())
        if (this.state.workers.has(id) && !silent.includes(id)) this.heartbeat(id, Number(advancing.includes(id)))
      this.send({ type: 'tick' })
    }
    return this.commands.slice(before)
  }

  fail(workerId: string, mayBeAnItem = true): FarmCommand[] {
    const { batchId, shardId, attempt } = this.#workers.get(workerId)!.held.shift()!
    return this.send({ type: 'attemptFailed', batchId, shardId, attempt, message: 'no', mayBeAnItem })
  }

  end(workerId: string, shardId = this.held(workerId)[0]!, deviceSeconds = 1): FarmCommand[] {
    const held = this.#drop(workerId, shardId, Infinity)!
    const result = resultOf('rendered', ITEMS_PER_SHARD, deviceSeconds, workerId)
    const commands = this.send({ type: 'shardEnded', batchId: held.batchId, shardId, result })
    this.heartbeat(workerId)
    return commands
  }

  held(workerId: string): string[] {
    return this.#workers.get(workerId)!.held.map(({ shardId }) => shardId)
  }

  of<T extends FarmCommand['type']>(type: T) {
    return ofType(this.commands, type)
  }

  #drop(workerId: string, shardId: string, attempt: number): Held | undefined {
    const { held } = this.#workers.get(workerId)!
    const place = held.findIndex((one) => one.shardId === shardId && one.attempt <= attempt)
    return place === -1 ? undefined : held.splice(place, 1)[0]
  }
}
