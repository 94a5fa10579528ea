import type { Turn, ShardWatch } from '../bench/shard-watch.ts'

/** A shard in the hands of a worker that was told to end, with what it had done of it by then. */
interface HandOver {
  readonly worker: string
  readonly shardId: string
  readonly turn: Turn
  readonly stepsDone: number
}

/** What became of the shards that workers held when they were told to end. */
export class HandOvers {
  readonly #watch: ShardWatch
  readonly #noted: HandOver[] = []

  constructor(watch: ShardWatch) {
    this.#watch = watch
  }

  /** Of a worker that is told to end now. */
  note(worker: string): void {
    for (const [shardId, turn] of this.#watch.begunBy(worker))
      this.#noted.push({ worker, shardId, turn, stepsDone: turn.stepsDone })
  }

  /** Shards that another worker took over, with the steps that it did not have to repeat; the others ended within the grace. */
  get takenOver(): readonly (HandOver & { readonly stepsResumed: number })[] {
    return this.#noted.flatMap((handOver) => {
      const turns = this.#watch.turns.get(handOver.shardId)!
      const next = turns.slice(turns.indexOf(handOver.turn) + 1).find(({ firstStepAtMs }) => firstStepAtMs !== null)
      return next === undefined ? [] : [{ ...handOver, stepsResumed: next.stepsResumed }]
    })
  }

  get held(): number {
    return this.#noted.length
  }
}
