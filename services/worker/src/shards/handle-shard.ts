import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { DarkroomError, describeSpan, ERROR_CODES, inSpan, SpanKind } from '@darkroom/chassis'
import type { FarmNats, Logger } from '@darkroom/chassis'
import { differenceOf, keys, ShardCompletionSchema } from '@darkroom/proto'
import type { CommitRecord, Difference, ShardAssignment } from '@darkroom/proto'
import type { CheckpointShelf } from '../checkpoint-shelf.ts'
import type { HeldShard } from './held-shard.ts'
import { insist } from './insist.ts'
import type { ProgressKeeper } from './progress-keeper.ts'
import { renderShard } from './render-shard.ts'
import type { RenderParts } from './render-shard.ts'

export interface ShardParts extends RenderParts {
  readonly nats: FarmNats
  readonly shelf: CheckpointShelf
  readonly progress: ProgressKeeper
  readonly log: Logger
  readonly workerId: string
}

/** How a shard came to have its record. */
interface Ending {
  readonly how: 'committed' | 'already-ended' | 'lost-race' | 'audited'
  /** Of a race that was lost, and of an audit: what the record says otherwise. */
  readonly difference?: Difference
}

const RETURN_DELAY_MS = 5_000

/**
 * One shard from its delivery to its acknowledgement: images first, then the commit record, then the completion, then the
 * ack. Never throws: what goes wrong is told to the coordinator or left to a redelivery.
 */
export function handleShard(parts: ShardParts, shard: HeldShard): Promise<void> {
  const { batchId, shardId, attempt, checkpoint, items, traceparent } = shard.assignment
  const attributes = {
    'messaging.system': 'nats',
    'darkroom.batch.id': batchId,
    'darkroom.shard.id': shardId,
    'darkroom.attempt': attempt,
    'darkroom.checkpoint': checkpoint,
    'darkroom.items': items.length,
  }
  return inSpan('render shard', { kind: SpanKind.CONSUMER, parent: traceparent, attributes }, () =>
    handle(parts, shard),
  )
}

async function handle(parts: ShardParts, shard: HeldShard): Promise<void> {
  const { events, log } = parts
  events.shardTaken(shard.assignment, shard.assignment.items.length)
  let ending: Ending
  try {
    ending = await renderAndCommit(parts, shard)
  } catch (reason) {
    // One that is left for another worker has its progress saved first.
    await shard.left
    // The images that were still on their way are not wanted any more.
    const why = shard.givenUp
    shard.giveUp('cancelled')
    const error = why === null ? DarkroomError.from(reason) : why
    describeSpan({ 'darkroom.outcome': typeof error === 'string' ? error : error.code })
    await giveBack(parts, shard, error).catch((err: unknown) => log.warn({ err }, 'a shard could not be given back'))
    return
  }
  shard.hasRecord = true
  const forgotten = parts.progress.forget(shard).catch((err: unknown) => log.debug({ err }, 'a progress is left'))
  try {
    await insist(shard.signal, () =>
      tell(parts, shard, { committed: ending.how === 'committed', ...ending.difference }),
    )
    await shard.delivery.ack()
  } catch (err) {
    // The record is in the bucket: whoever gets the shard next finds it there.
    log.warn({ err }, 'a shard has ended but nobody could be told')
  }
  await forgotten
  describeSpan({ 'darkroom.outcome': ending.how })
  events.shardLeft(shard.assignment, ending.how)
}

async function renderAndCommit(parts: ShardParts, shard: HeldShard): Promise<Ending> {
  const { store, shelf, progress, events, workerId } = parts
  const { batchId, shardId, attempt, failedAttempts, checkpoint, isAudit } = shard.assignment
  const key = keys.result(batchId, shardId)
  const [ended] = await Promise.all([insist(shard.signal, () => store.head(key)), progress.recall(shard)])
  if (ended !== null && !isAudit) return { how: 'already-ended' }
  const startedAt = new Date().toISOString()
  using checkpoints = new DisposableStack()
  const loadSeconds = await inSpan('hold checkpoints', {}, async () => {
    let seconds = 0
    for (const pin of pinsOf(shard.assignment))
      seconds += checkpoints.use(await shelf.hold(pin, shard.signal)).loadSeconds
    return seconds
  })
  const items = await renderShard(parts, shard)
  const record: CommitRecord = {
    kind: 'rendered',
    batchId,
    shardId,
    attempt,
    failedAttempts,
    workerId,
    checkpoint,
    startedAt,
    committedAt: new Date().toISOString(),
    deviceSeconds: items.reduce((sum, { seconds = 0 }) => sum + seconds, 0),
    ...(loadSeconds > 0 && { loadSeconds }),
    items,
  }
  if (isAudit) return { how: 'audited', difference: compare(parts, shard, record, await recordThere(parts, shard)) }
  const start = performance.now()
  const body = JSON.stringify(record)
  const answer = await insist(shard.signal, () => store.putIfAbsent(key, body, { contentType: 'application/json' }))
  events.stageTaken('commit', (performance.now() - start) / 1000)
  if (answer === 'created') return { how: 'committed' }
  const stored = await recordThere(parts, shard)
  // Written by a request that was given up before its answer came.
  if (stored !== null && JSON.stringify(stored) === body) return { how: 'committed' }
  return { how: 'lost-race', difference: compare(parts, shard, record, stored) }
}

function recordThere({ store }: ShardParts, { assignment, signal }: HeldShard): Promise<CommitRecord | null> {
  const { batchId, shardId } = assignment
  return insist(signal, () => store.getJson<CommitRecord>(keys.result(batchId, shardId)))
}

/** Its pictures with those of the record that is there. */
function compare({ events }: ShardParts, shard: HeldShard, own: CommitRecord, stored: CommitRecord | null): Difference {
  const difference = differenceOf(own, stored)
  if (difference.differingItems.length > 0) events.resultsDiffered(shard.assignment, difference.differingItems)
  return difference
}

/** The shard's checkpoint, then the refiners that its items are handed over to. */
function pinsOf({ checkpoint, items }: ShardAssignment): Set<string> {
  return new Set([checkpoint, ...items.map(({ refiner }) => refiner).filter((pin) => pin !== '')])
}

/** An attempt that made no record: handed back, dropped, or told of, as the reason wants. */
async function giveBack(
  parts: ShardParts,
  shard: HeldShard,
  why: DarkroomError | 'cancelled' | 'leaving',
): Promise<void> {
  const { events } = parts
  const { assignment, delivery } = shard
  if (why === 'leaving') {
    delivery.nak(0)
    return events.shardLeft(assignment, 'handed-back')
  }
  if (why === 'cancelled') {
    await delivery.ack()
    return events.shardLeft(assignment, 'cancelled')
  }
  // The farm's trouble, not the shard's: no attempt is counted. A bug is the exception, or it would go round for ever.
  if (ERROR_CODES[why.code].retry === 'later' && why.code !== 'INTERNAL') {
    delivery.nak(RETURN_DELAY_MS)
    return events.shardLeft(assignment, 'handed-back', why)
  }
  events.shardLeft(assignment, 'failed', why.cause ?? why)
  await tell(parts, shard, { committed: false, errorCode: why.code, errorMessage: why.message })
  await delivery.ack()
}

async function tell(
  { nats, workerId }: ShardParts,
  { assignment }: HeldShard,
  word: MessageInitShape<typeof ShardCompletionSchema>,
): Promise<void> {
  const { batchId, shardId, attempt, isAudit } = assignment
  await nats.publishCompletion(create(ShardCompletionSchema, { batchId, shardId, attempt, workerId, isAudit, ...word }))
}
