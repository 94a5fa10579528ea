import type { GatewayClient, WorkerJson } from '@darkroom/cli'
import { setTimeout as delay } from 'node:timers/promises'

const POLL_MS = 50

/** One worker's time with a shard, as its reports tell: a shard may come back to a worker, as another attempt. */
export interface Turn {
  readonly workerId: string
  readonly attempt: number
  /** Steps that earlier turns had done. */
  stepsResumed: number
  stepsDone: number
  /** When a report first told of a step of its own. */
  firstStepAtMs: number | null
}

type RunningShard = WorkerJson['running'][number]

/** Follows who has which shard of a batch, as `darkroom workers` tells it. */
export class ShardWatch implements AsyncDisposable {
  /** By shard, the turns in order; another leader counts attempts anew. */
  readonly turns = new Map<string, Turn[]>()
  readonly #gateway: Pick<GatewayClient, 'workers'>
  readonly #batchId: string
  readonly #looking: Promise<void>
  #isOver = false
  #looked = Promise.withResolvers<void>()

  constructor(gateway: Pick<GatewayClient, 'workers'>, batchId: string) {
    this.#gateway = gateway
    this.#batchId = batchId
    this.#looking = this.#look()
  }

  /** Resolves after the first look for which it holds. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#looked.promise
  }

  /** Steps of all shards that are behind them. */
  get stepsDone(): number {
    return this.turns.values().reduce((sum, turns) => sum + (turns.at(-1)?.stepsDone ?? 0), 0)
  }

  /** Shards that a worker has begun and has still, with its turn. */
  begunBy(workerId: string): (readonly [shardId: string, turn: Turn])[] {
    return [...this.turns].flatMap(([shardId, turns]) => {
      const turn = turns.at(-1)!
      return turn.workerId === workerId && turn.firstStepAtMs !== null ? [[shardId, turn]] : []
    })
  }

  /** When each of these shards had its first step in a later turn; null while one has had none. */
  resumedAtMs(begun: readonly (readonly [string, Turn])[]): number[] | null {
    const times = begun.map(([shardId, turn]) => {
      const turns = this.turns.get(shardId)!
      const later = turns.slice(turns.indexOf(turn) + 1)
      return later.find(({ firstStepAtMs }) => firstStepAtMs !== null)?.firstStepAtMs ?? null
    })
    return times.every((time) => time !== null) ? times : null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await this.#looking
  }

  async #look(): Promise<void> {
    while (!this.#isOver) {
      const workers = await this.#gateway.workers()
      const nowMs = performance.now()
      for (const { id, running } of workers) {
        for (const shard of running) if (shard.batchId === this.#batchId) this.#note(id, shard, nowMs)
      }
      this.#looked.resolve()
      this.#looked = Promise.withResolvers()
      await delay(POLL_MS)
    }
  }

  #note(workerId: string, told: RunningShard, nowMs: number): void {
    const { shardId, attempt, stepsDone, stepsResumed } = told
    const turns = this.turns.get(shardId) ?? []
    this.turns.set(shardId, turns)
    let turn = turns.find((one) => one.workerId === workerId && one.attempt === attempt)
    if (turn === undefined)
      turns.push((turn = { workerId, attempt, stepsResumed: 0, stepsDone: 0, firstStepAtMs: null }))
    turn.stepsResumed = stepsResumed
    turn.stepsDone = stepsDone
    if (stepsDone > stepsResumed) turn.firstStepAtMs ??= nowMs
  }
}
