import { shardIdOf } from '@darkroom/proto'
import type { ItemLine, PlannedShard } from '@darkroom/proto'
import type { CostModel } from './cost-model.ts'
import { unitsOf } from './cost-model.ts'

export interface CutOptions {
  readonly segment: number
  readonly targetSeconds: number
  readonly workers: number
  /** Whether more segments follow: without any, shards are made small enough that all workers finish together. */
  readonly isLast: boolean
  /** Index of the first item that waits for a yes: no shard has items on both sides of it. Absent: none does. */
  readonly approveAfter?: number
}

const MAX_SHARD_BYTES = 64 * 1024
/** Name, pin, sizes and numbers. */
const REST_BYTES = 256
const MIN_SHARD_SECONDS = 0.5
const SHARDS_PER_WORKER = 4

/**
 * Cuts a segment's items into shards: same checkpoint, refiner, task and size, about `targetSeconds` of one device, small enough
 * for one message, and at a batch's end, or before somebody is asked for a yes, small enough that every worker has work until then.
 */
export function cutShards(items: readonly ItemLine[], model: CostModel, options: CutOptions): PlannedShard[] {
  const { approveAfter = 0 } = options
  const first = items.filter(({ index }) => index < approveAfter)
  const others = items.filter(({ index }) => index >= approveAfter)
  return [...cutAlike(first, model, { ...options, isLast: true }), ...cutAlike(others, model, options)].map(
    (group, number) => {
      const { checkpoint, task, width, height } = group[0]!
      const id = shardIdOf(options.segment, number)
      return { id, checkpoint, task, width, height, items: group.map(({ index }) => index) }
    },
  )
}

/** Cuts items that may start together. */
function cutAlike(items: readonly ItemLine[], model: CostModel, options: CutOptions): ItemLine[][] {
  const groups = Map.groupBy(items, ({ checkpoint, task, width, height, refiner }) =>
    JSON.stringify([checkpoint, task, width, height, refiner]),
  )
  const total = items.reduce((sum, item) => sum + secondsOf(item, model), 0)
  const fairShare = total / (Math.max(options.workers, 1) * SHARDS_PER_WORKER)
  const limitSeconds = options.isLast
    ? Math.max(Math.min(options.targetSeconds, fairShare), MIN_SHARD_SECONDS)
    : options.targetSeconds
  return groups
    .values()
    .flatMap((group) => cutGroup(group, model, limitSeconds))
    .toArray()
}

function* cutGroup(items: readonly ItemLine[], model: CostModel, limitSeconds: number): Generator<ItemLine[]> {
  let shard: ItemLine[] = []
  let seconds = 0
  let bytes = 0
  for (const item of items) {
    const itemSeconds = secondsOf(item, model)
    const itemBytes = bytesOf(item)
    if (shard.length > 0 && (seconds + itemSeconds > limitSeconds || bytes + itemBytes > MAX_SHARD_BYTES)) {
      yield shard
      shard = []
      seconds = 0
      bytes = 0
    }
    shard.push(item)
    seconds += itemSeconds
    bytes += itemBytes
  }
  if (shard.length > 0) yield shard
}

function secondsOf(item: ItemLine, model: CostModel): number {
  const { checkpoint, scheduler } = item
  return model.seconds({ checkpoint, deviceKind: null }, { [scheduler]: unitsOf(item) })
}

/** At least what the item takes in a message: texts as they are, and 8 bytes for each number of a schedule. */
function bytesOf({ schedulerConfig, timesteps = [], sigmas = [], ...item }: ItemLine): number {
  const texts = [item.prompt, item.negativePrompt, item.image, item.maskImage, item.depthMap, item.refiner]
  const textBytes = texts.reduce((sum, text = '') => sum + Buffer.byteLength(text), 0)
  return textBytes + JSON.stringify(schedulerConfig).length + 8 * (timesteps.length + sigmas.length) + REST_BYTES
}
