import { DarkroomError } from '@darkroom/chassis'
import { CANCELLED, includesItem } from '@darkroom/proto'
import type { CommitRecord, Item, ItemRanges, ItemResult, ShardAssignment } from '@darkroom/proto'
import { SECONDS_PER_STEP } from './item.ts'
import type { Random } from './random.ts'
import type { VirtualProcess } from './virtual-process.ts'

export interface WorkerTraits {
  /** Seconds of work in a second. */
  speed: number
  swapSeconds: number
  /** Before the first step of each shard. */
  firstStepSeconds: number
  /** Its driver hangs: the worker lives, and nothing is rendered. */
  isStuck: boolean
  /** It can render nothing. */
  isBroken: boolean
  /** Its pixels are not those of the others. */
  isWrong: boolean
}

/** A worker in good order. */
export function soundTraits(traits: Partial<WorkerTraits> = {}): WorkerTraits {
  const sound = { isStuck: false, isBroken: false, isWrong: false }
  return { speed: 1, swapSeconds: 2, firstStepSeconds: 0, ...sound, ...traits }
}

export interface DeviceParts {
  readonly workerId: string
  readonly process: VirtualProcess
  readonly random: Random
  readonly traits: WorkerTraits
  readonly renderBegun: (assignment: ShardAssignment) => void
  /** @param seconds of the device that an attempt took, in whatever way it ended */
  readonly renderEnded: (seconds: number) => void
  readonly swapped: (seconds: number) => void
  /** An item of it takes the process down. */
  readonly kill: (assignment: ShardAssignment) => void
}

/** An attempt, as far as its device has to do with it. */
export interface Attempt {
  readonly assignment: ShardAssignment
  /** What of it is not wanted. */
  cancelled: ItemRanges
  isGivenUp: boolean
  stepsDone: number
}

const PIN = 'virtual'
/** Of a render, in which it looks up. */
const PARTS = 4
const STUCK_MS = 1_000

/** A device that only takes time. */
export class VirtualDevice {
  /** The checkpoint in its memory; one fits. */
  resident = ''
  readonly loads = { count: 0, seconds: 0 }
  /** Whatever became of it; as far as it is over. */
  renderSeconds = 0
  /** Grows with all that it does. */
  activity = 0
  readonly #parts: DeviceParts
  #busy: Promise<void> = Promise.resolve()

  constructor(parts: DeviceParts) {
    this.#parts = parts
  }

  /** One shard after the other. @throws DarkroomError CANCELLED once it is given up, INTERNAL for what it cannot render */
  render(attempt: Attempt): Promise<CommitRecord> {
    const done = this.#busy.then(() => this.#renderAlone(attempt))
    this.#busy = done.then(
      () => {},
      () => {},
    )
    return done
  }

  async #renderAlone(attempt: Attempt): Promise<CommitRecord> {
    const { process, random, traits, renderBegun, renderEnded, kill } = this.#parts
    const { assignment } = attempt
    assertWanted(attempt)
    const loadSeconds = await this.#load(assignment.checkpoint)
    assertWanted(attempt)
    const startedAt = new Date(process.time.nowMs).toISOString()
    renderBegun(assignment)
    const steps = stepsOf(assignment)
    const wanted = (): Item[] => assignment.items.filter((item) => !isCancelled(attempt, item))
    const work = steps * SECONDS_PER_STEP * random.between(0.9, 1.1)
    let seconds = 0
    try {
      await process.delay(1000 * traits.firstStepSeconds)
      if (wanted().some(({ prompt }) => prompt === 'kills')) kill(assignment)
      // At the speed that it has by then. A shard that is given up stops at its next part.
      for (let part = 1; part <= PARTS; part++) {
        while (traits.isStuck) await process.delay(STUCK_MS)
        const partSeconds = (work * wanted().length) / assignment.items.length / PARTS / traits.speed
        await process.delay(1000 * partSeconds)
        seconds += partSeconds
        this.renderSeconds += partSeconds
        attempt.stepsDone = (steps * part) / PARTS
        this.activity++
        assertWanted(attempt)
      }
      if (traits.isBroken || wanted().some(({ prompt }) => prompt === 'refused'))
        throw new DarkroomError('INTERNAL', 'the virtual device cannot render this')
    } finally {
      renderEnded(seconds)
    }
    return { ...this.#recordOf(attempt, startedAt, seconds), ...(loadSeconds > 0 && { loadSeconds }) }
  }

  /** @returns seconds that it took */
  async #load(checkpoint: string): Promise<number> {
    const { process, traits, swapped } = this.#parts
    if (this.resident === checkpoint) return 0
    const { swapSeconds } = traits
    await process.delay(1000 * swapSeconds)
    this.resident = checkpoint
    this.loads.count++
    this.loads.seconds += swapSeconds
    this.activity++
    swapped(swapSeconds)
    return swapSeconds
  }

  #recordOf(given: Attempt, startedAt: string, seconds: number) {
    const { batchId, shardId, attempt, failedAttempts, checkpoint, items } = given.assignment
    const { workerId, process, traits } = this.#parts
    const committedAt = new Date(process.time.nowMs).toISOString()
    const pixels = traits.isWrong ? workerId : PIN
    const results = items.map((item) =>
      isCancelled(given, item) ? cancelledOf(item) : resultOf(item, seconds / items.length, pixels),
    )
    return {
      kind: 'rendered' as const,
      batchId,
      shardId,
      attempt,
      failedAttempts,
      committedAt,
      workerId,
      checkpoint,
      startedAt,
      // As a worker has it: nobody is charged for what is cancelled.
      deviceSeconds: results.reduce((sum, item) => sum + (item.seconds ?? 0), 0),
      items: results,
    }
  }
}

export function stepsOf({ items }: ShardAssignment): number {
  return items.reduce((sum, { numInferenceSteps }) => sum + numInferenceSteps, 0)
}

function isCancelled({ cancelled }: Attempt, { index }: Item): boolean {
  return includesItem(cancelled, index)
}

function cancelledOf({ index, customId }: Item): ItemResult {
  return { index, customId, ...CANCELLED }
}

function assertWanted(attempt: Attempt): void {
  if (attempt.isGivenUp) throw new DarkroomError('CANCELLED', 'given up')
}

/** Pixels depend on the request alone, and so does the name of a picture. */
function resultOf(
  { index, customId, prompt, seed, ...item }: ShardAssignment['items'][number],
  seconds: number,
  pixels: string,
): ItemResult {
  const { scheduler, numInferenceSteps, width, height } = item
  if (prompt === 'fails')
    return { index, customId, state: 'failed', code: 'RENDER_FAILED', message: 'a poisonous item', scheduler, seconds }
  const sha256 = `${pixels}-${index}-${seed}`
  const image = { n: 0, seed: Number(seed), name: `${index}-0-${sha256}.png`, sha256, bytes: 1, width, height }
  return { index, customId, state: 'rendered', scheduler, numInferenceSteps, images: [image], seconds, warnings: [] }
}
