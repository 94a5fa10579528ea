import type { Logger, Metrics } from '@darkroom/chassis'
import { parsePin } from '@darkroom/proto'
import type { FailedImage } from '@darkroom/proto'
import type { ChosenDevice, EngineStage, RenderedPicture, Tick } from './engine/messages.ts'
import type { DeviceTime } from './engine/device-clock.ts'
import type { GpuReading } from './device/nvidia-smi.ts'

const STEP_BUCKETS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]
const IMAGE_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120]
const ROW_BUCKETS = [1, 2, 4, 8, 16, 32, 64]

export interface ShardIds {
  readonly batchId: string
  readonly shardId: string
  readonly attempt: number
}

/** The ids alone: what carries them may carry prompts too. */
const idsOf = ({ batchId, shardId, attempt }: ShardIds): ShardIds => ({ batchId, shardId, attempt })

const NAMES_AS_LABELS = 50

/** A checkpoint's name without its digest, for labels: `other` once there are too many. */
function createCheckpointNames(): (pin: string) => string {
  const known = new Set<string>()
  return (pin) => {
    const name = parsePin(pin)?.name ?? 'other'
    if (known.size < NAMES_AS_LABELS) known.add(name)
    return known.has(name) ? name : 'other'
  }
}

/** Everything in a worker that is worth counting or telling. */
export function createEvents(metrics: Metrics, log: Logger) {
  const images = metrics.counter('darkroom_images_total', 'Images rendered, committed or not.', [
    'scheduler',
    'checkpoint',
    'task',
  ])
  const steps = metrics.counter('darkroom_denoise_steps_total', 'Denoising steps taken, one per image and UNet call.', [
    'scheduler',
    'checkpoint',
  ])
  const imageSeconds = metrics.histogram(
    'darkroom_image_seconds',
    'Device seconds of one image: its share of each call.',
    ['scheduler', 'checkpoint'],
    IMAGE_BUCKETS,
  )
  const stepSeconds = metrics.histogram(
    'darkroom_unet_step_seconds',
    'Seconds of one UNet call, by the scheduler of its images: mixed where they have several.',
    ['scheduler', 'checkpoint'],
    STEP_BUCKETS,
  )
  const batchRows = metrics.histogram(
    'darkroom_unet_batch_rows',
    'Rows of one UNet call, by the scheduler of its images: mixed where they have several.',
    ['scheduler', 'checkpoint'],
    ROW_BUCKETS,
  )
  const padding = metrics.counter(
    'darkroom_padding_rows_total',
    'Rows of UNet calls that no image took: what closed sets of sizes cost.',
    ['checkpoint'],
  )
  const stageSeconds = metrics.histogram(
    'darkroom_stage_seconds',
    'Seconds of each stage of an image.',
    ['stage'],
    IMAGE_BUCKETS,
  )
  const busy = metrics.counter('darkroom_gpu_busy_seconds_total', 'Seconds in which the device computed.', ['device'])
  const loading = metrics.counter(
    'darkroom_gpu_load_seconds_total',
    'Seconds in which a checkpoint was fetched or loaded and the device computed nothing.',
    ['device'],
  )
  const utilization = metrics.gauge(
    'darkroom_gpu_utilization_ratio',
    'Share of time in which a kernel ran, by nvidia-smi.',
    ['gpu'],
  )
  const memoryUsed = metrics.gauge('darkroom_gpu_memory_used_bytes', 'Device memory in use, by nvidia-smi.', ['gpu'])
  const memoryTotal = metrics.gauge('darkroom_gpu_memory_total_bytes', 'Device memory, by nvidia-smi.', ['gpu'])
  const power = metrics.gauge('darkroom_gpu_power_watts', 'Power drawn, by nvidia-smi.', ['gpu'])
  const temperature = metrics.gauge('darkroom_gpu_temperature_celsius', 'Temperature of the device, by nvidia-smi.', [
    'gpu',
  ])
  const loads = metrics.counter('darkroom_checkpoint_loads_total', 'Checkpoints loaded, by how it ended.', [
    'checkpoint',
    'outcome',
  ])
  const loadSeconds = metrics.histogram(
    'darkroom_checkpoint_load_seconds',
    'Seconds to fetch, verify and load a checkpoint.',
    ['checkpoint'],
    IMAGE_BUCKETS,
  )
  const commits = metrics.counter('darkroom_commits_total', 'Commit records written by this worker, by kind.', ['kind'])
  const lostRaces = metrics.counter(
    'darkroom_lost_commit_races_total',
    'Shards rendered here whose record another had written first.',
  )
  const failedItems = metrics.counter(
    'darkroom_failed_items_total',
    'Items that failed alone inside a rendered shard.',
    ['code'],
  )
  const failedImages = metrics.counter(
    'darkroom_failed_images_total',
    'Images that failed alone inside a rendered item.',
    ['code'],
  )
  const attempts = metrics.counter(
    'darkroom_shard_attempts_total',
    'Shards taken from the queue, by how it ended here.',
    ['outcome'],
  )
  const flagged = metrics.counter(
    'darkroom_flagged_images_total',
    "Images that the checkpoint's safety checker blacked out.",
    ['checkpoint'],
  )
  const progressSeconds = metrics.histogram(
    'darkroom_progress_write_seconds',
    "Seconds to look at a shard's progress and write it to the object store, by why.",
    ['reason'],
    STEP_BUCKETS,
  )
  const progressFailures = metrics.counter(
    'darkroom_progress_write_failures_total',
    "Writes of a shard's progress that did not end well or in time.",
  )
  const progressIgnored = metrics.counter(
    'darkroom_progress_ignored_total',
    'Progress of earlier attempts that was not used, by why: the images are rendered from their beginning.',
    ['reason'],
  )
  const resumedSteps = metrics.counter(
    'darkroom_resumed_steps_total',
    'Denoising steps that earlier attempts had done and that were not repeated.',
  )
  const previews = metrics.counter('darkroom_previews_total', 'Previews sent to the coordinator.')
  const held = metrics.gauge('darkroom_held_shards', 'Shards in this worker now.')
  const storeSeconds = metrics.histogram(
    'darkroom_store_request_seconds',
    'Seconds of object store requests with their retries.',
    ['op', 'outcome'],
    STEP_BUCKETS,
  )
  const linked = metrics.gauge('darkroom_coordinator_connected', 'Whether the stream to the coordinator is open.')
  commits.inc({ kind: 'rendered' }, 0)
  for (const reason of ['periodic', 'drain'] as const) progressSeconds.zero({ reason })
  const resident = metrics.gauge('darkroom_resident_checkpoints', 'Checkpoints in memory now.')
  const checkpointBytes = metrics.gauge(
    'darkroom_checkpoint_memory_bytes',
    'Memory that a checkpoint takes, as measured at its load.',
    ['checkpoint'],
  )
  const nameOf = createCheckpointNames()
  let kind: ChosenDevice['kind'] = 'cpu'
  let imageCount = 0
  let activity = 0
  let isLinked: boolean | null = null

  return {
    get imageCount(): number {
      return imageCount
    },
    /** Grows with whatever is done for shards; tries count, so that a store that is away does not look like a worker that is stuck. */
    get activity(): number {
      return activity
    },
    deviceChosen(device: ChosenDevice): void {
      log.info({ device }, 'device chosen')
      kind = device.kind
    },
    deviceTimePassed({ renderSeconds, loadSeconds }: DeviceTime): void {
      busy.inc({ device: kind }, renderSeconds)
      loading.inc({ device: kind }, loadSeconds)
    },
    ticked({ pin, rows, padded, seconds, schedulers }: Tick): void {
      activity++
      const checkpoint = nameOf(pin)
      for (const scheduler of schedulers) steps.inc({ scheduler, checkpoint })
      const scheduler = new Set(schedulers).size === 1 ? schedulers[0]! : 'mixed'
      stepSeconds.observe({ scheduler, checkpoint }, seconds)
      batchRows.observe({ scheduler, checkpoint }, rows)
      padding.inc({ checkpoint }, padded - rows)
    },
    stageTaken(stage: EngineStage | 'picture_decode' | 'encode' | 'upload' | 'commit', seconds: number): void {
      activity++
      stageSeconds.observe({ stage }, seconds)
    },
    imageRendered(
      scheduler: string,
      pin: string,
      task: string,
      { seconds, isFlagged }: Pick<RenderedPicture, 'seconds' | 'isFlagged'>,
    ): void {
      const checkpoint = nameOf(pin)
      images.inc({ scheduler, checkpoint, task })
      imageSeconds.observe({ scheduler, checkpoint }, seconds)
      if (isFlagged === true) flagged.inc({ checkpoint })
      imageCount++
    },
    previewSent(): void {
      previews.inc()
    },
    gpuRead(reading: GpuReading, ordinal: number): void {
      const gpu = String(ordinal)
      utilization.set({ gpu }, reading.utilizationRatio)
      memoryUsed.set({ gpu }, reading.memoryUsedBytes)
      memoryTotal.set({ gpu }, reading.memoryTotalBytes)
      power.set({ gpu }, reading.powerWatts)
      temperature.set({ gpu }, reading.temperatureCelsius)
    },
    checkpointRead(): void {
      activity++
    },
    checkpointLoaded(pin: string, seconds: number, bytes: number): void {
      activity++
      log.info({ pin, seconds, bytes }, 'checkpoint loaded')
      checkpointBytes.set({ checkpoint: nameOf(pin) }, bytes)
      loads.inc({ checkpoint: nameOf(pin), outcome: 'ok' })
      loadSeconds.observe({ checkpoint: nameOf(pin) }, seconds)
    },
    checkpointRefused(pin: string, err: unknown): void {
      log.error({ pin, err }, 'checkpoint refused')
      loads.inc({ checkpoint: nameOf(pin), outcome: 'refused' })
    },
    checkpointUnloaded(pin: string): void {
      log.info({ pin }, 'checkpoint unloaded')
      checkpointBytes.set({ checkpoint: nameOf(pin) }, 0)
    },
    residentChanged(count: number): void {
      resident.set(count)
    },
    shardTaken(ids: ShardIds, items: number): void {
      log.info({ ...idsOf(ids), items }, 'shard taken')
      held.inc()
    },
    shardLeft(
      ids: ShardIds,
      outcome: 'committed' | 'already-ended' | 'lost-race' | 'audited' | 'cancelled' | 'failed' | 'handed-back',
      err?: unknown,
    ): void {
      log.info({ ...idsOf(ids), outcome, ...(err !== undefined && { err }) }, 'shard left')
      held.dec()
      attempts.inc({ outcome })
      if (outcome === 'committed') commits.inc({ kind: 'rendered' })
      if (outcome === 'lost-race') lostRaces.inc()
    },
    itemFailed(ids: ShardIds, index: number, code: string, message: string): void {
      log.warn({ ...idsOf(ids), index, code, reason: message }, 'item failed alone')
      failedItems.inc({ code })
    },
    imagesFailed(ids: ShardIds, index: number, images: readonly FailedImage[]): void {
      log.warn({ ...idsOf(ids), index, images }, 'images failed alone')
      for (const { code } of images) failedImages.inc({ code })
    },
    progressWritten(
      ids: ShardIds,
      { reason, seconds, ...rest }: { reason: 'periodic' | 'drain'; seconds: number; bytes: number; images: number },
    ): void {
      log.info({ ...idsOf(ids), reason, seconds, ...rest }, 'progress written')
      progressSeconds.observe({ reason }, seconds)
    },
    resultsDiffered(ids: ShardIds, items: readonly number[]): void {
      log.error({ ...idsOf(ids), items }, 'another worker has rendered other pictures of the same items')
    },
    progressNotWritten(ids: ShardIds, err: unknown): void {
      log.warn({ ...idsOf(ids), err }, 'progress not written')
      progressFailures.inc()
    },
    /** `unfit`: the engine cannot go on from it. */
    progressIgnored(ids: ShardIds, reason: 'damaged' | 'foreign' | 'unfit'): void {
      log.warn({ ...idsOf(ids), reason }, 'progress ignored')
      progressIgnored.inc({ reason })
    },
    progressResumed(ids: ShardIds, done: { images: number; steps: number }): void {
      log.info({ ...idsOf(ids), ...done }, 'shard resumed')
      resumedSteps.inc(done.steps)
    },
    storeRequested(op: string, outcome: string, seconds: number): void {
      activity++
      storeSeconds.observe({ op, outcome }, seconds)
    },
    coordinatorAttached(): void {
      log.info('attached to the coordinator')
      isLinked = true
      linked.set(1)
    },
    coordinatorLost(err: unknown): void {
      // Told once, not at each of the attempts that follow.
      if (isLinked !== false) log.warn({ err }, 'not attached to a coordinator')
      isLinked = false
      linked.set(0)
    },
  }
}

export type WorkerEvents = ReturnType<typeof createEvents>
