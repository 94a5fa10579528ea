export interface CapacityRequest {
  readonly workers: number
  readonly prompts: number
  /** Device seconds of one image on a worker of speed 1. */
  readonly imageSeconds: number
  /** Of the workers, in turn. */
  readonly speeds: readonly number[]
  readonly checkpoints: number
  readonly loadSeconds: number
  readonly killedPerHour: number
  /** Share of the workers that is gone for good, and when, in seconds. */
  readonly lose?: number
  readonly loseAfter: number
}

export interface CapacityPlan {
  readonly seconds: number
  readonly workerHours: number
  /** Of the workers' time, what their devices render. */
  readonly busyShare: number
  readonly loads: number
}

/** What the planner sizes shards to, unless an image takes longer. */
const SHARD_SECONDS = 10
/** With more than so many for each worker they are simulated larger: what is uneven is uneven at the end. */
const SHARDS_PER_WORKER = 100

/** Runs the real coordinator on a virtual clock; each of its items stands for a shard of images. */
export async function planCapacity(request: CapacityRequest): Promise<CapacityPlan> {
  const { workers, prompts, imageSeconds, speeds, checkpoints, loadSeconds, killedPerHour, lose, loseAfter } = request
  // Only this command needs it.
  const { runToEnd } = await import('@darkroom/sim')
  const imagesPerShard = Math.max(1, Math.floor(SHARD_SECONDS / imageSeconds))
  const shards = Math.min(Math.ceil(prompts / imagesPerShard), SHARDS_PER_WORKER * workers)
  const seconds = (prompts * imageSeconds) / shards
  const outcome = await runToEnd({
    seed: 1,
    items: Array.from({ length: shards }, (_, n) => ({ checkpoint: `checkpoint-${n % checkpoints}`, seconds })),
    workers: Array.from({ length: workers }, (_, n) => ({
      speed: speeds[n % speeds.length]!,
      swapSeconds: loadSeconds,
    })),
    killedPerHour,
    ...(lose !== undefined && { vanishing: { share: lose, atSeconds: loseAfter } }),
  })
  return {
    seconds: outcome.seconds,
    workerHours: outcome.workerSeconds / 3600,
    busyShare: outcome.busySeconds / outcome.workerSeconds,
    loads: outcome.swaps,
  }
}
