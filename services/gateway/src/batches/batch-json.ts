import { timestampDate } from '@bufbuild/protobuf/wkt'
import type { Timestamp } from '@bufbuild/protobuf/wkt'
import { ApprovalState, BatchState, formatItemRanges, rangesOfMessages, schedulerImagesOf } from '@darkroom/proto'
import type { Approval, Batch, BatchDocument, ItemRange } from '@darkroom/proto'
import { Type } from 'typebox'
import type { Static, TSchema } from 'typebox'

const STATES = {
  [BatchState.QUEUED]: 'queued',
  [BatchState.RUNNING]: 'running',
  [BatchState.FINALIZING]: 'finalizing',
  [BatchState.COMPLETED]: 'completed',
  [BatchState.CANCELLING]: 'cancelling',
  [BatchState.CANCELLED]: 'cancelled',
} as const

const APPROVALS = {
  [ApprovalState.RENDERING]: 'rendering',
  [ApprovalState.WAITING]: 'waiting',
  [ApprovalState.GIVEN]: 'given',
} as const

const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])
const time = Type.String({ format: 'date-time' })

const RUNS = 'Indices of items as in 3,5-10,'

const progressProperties = {
  id: Type.String({ examples: ['b01kb3m8x5t7v9rj2w4n6pqa'] }),
  state: Type.Enum(Object.values(STATES)),
  paused: Type.Boolean({ description: 'Whether nothing of it starts until it is resumed.' }),
  priority: Type.Integer({ description: 'Among the open batches of its tenant the higher goes first.' }),
  completeBy: orNull(Type.String({ format: 'date-time', description: 'When it is wanted; null where nobody said.' })),
  approval: orNull(
    Type.Object(
      {
        afterItems: Type.Integer({ description: 'So many are rendered before anybody is asked.' }),
        state: Type.Enum(Object.values(APPROVALS), {
          description: 'waiting: they are there, and the others start once the batch is approved.',
        }),
      },
      { description: 'Null where nobody is asked, and of ended batches.' },
    ),
  ),
  pausedItems: orNull(Type.String({ description: `${RUNS} that do not start; null for none, and of ended batches.` })),
  cancelledItems: orNull(
    Type.String({ description: `${RUNS} that somebody has cancelled; null for none, and of ended batches.` }),
  ),
  atRisk: Type.Boolean({ description: 'Open, and at its rate not ended by then.' }),
  createdAt: orNull(time),
  startedAt: orNull(time),
  endedAt: orNull(time),
  itemCount: Type.Integer(),
  imageCount: Type.Integer({ description: 'Images that the items ask for.' }),
  items: Type.Object(
    { open: Type.Integer(), rendered: Type.Integer(), failed: Type.Integer(), cancelled: Type.Integer() },
    { description: 'They always sum to itemCount.' },
  ),
  imagesRendered: Type.Integer(),
  imagesFailed: Type.Integer({
    description: 'Images that could not be rendered, of items that have others: failedImages in output.jsonl.',
  }),
  imagesFlagged: Type.Integer({ description: 'Rendered images that a safety checker made black.' }),
  itemsWarned: Type.Integer({ description: 'Rendered items with a warning, such as a prompt that was cut off.' }),
  imagesPerSecond: Type.Number({ description: 'Recent rate over the whole farm; 0 while unknown.' }),
  etaSeconds: orNull(Type.Number()),
  schedulers: Type.Array(
    Type.Object({
      scheduler: Type.String(),
      images: Type.Integer({ description: 'Rendered so far.' }),
      imageCount: orNull(
        Type.Integer({
          description: 'Images that the items ask of it; null for a batch that was accepted before these were counted.',
        }),
      ),
      imagesPerSecond: Type.Number({ description: 'Recent rate over the whole farm; 0 while unknown.' }),
      steps: Type.Integer({ description: 'Model calls that were made for the images.' }),
      seconds: Type.Number({ description: 'Engine seconds that the images took.' }),
    }),
    { description: 'Every one that the items name; those that have begun, where imageCount is null.' },
  ),
}

/** A batch as the list and the events show it. */
export const batchProgressSchema = Type.Object(progressProperties)

/** A batch with what was said at its acceptance. */
export const batchSchema = Type.Object({
  ...progressProperties,
  checkpoints: Type.Array(Type.String({ description: 'NAME@sha256:HEX' }), { description: 'Pins of all its items.' }),
  metadata: Type.Record(Type.String(), Type.String()),
  retryOf: orNull(Type.String({ description: 'The batch whose items it renders again.' })),
})

export type BatchProgress = Static<typeof batchProgressSchema>

export function batchProgress(batch: Batch): BatchProgress {
  const { open = 0, rendered = 0, failed = 0, cancelled = 0 } = batch.items ?? {}
  return {
    id: batch.id,
    state: stateName(batch.state),
    paused: batch.paused,
    priority: batch.priority,
    completeBy: isoTime(batch.completeBy),
    approval: approvalJson(batch.approval),
    pausedItems: rangesText(batch.pausedItems),
    cancelledItems: rangesText(batch.cancelledItems),
    atRisk: batch.atRisk,
    createdAt: isoTime(batch.createdAt),
    startedAt: isoTime(batch.startedAt),
    endedAt: isoTime(batch.endedAt),
    itemCount: batch.itemCount,
    imageCount: batch.imageCount,
    items: { open, rendered, failed, cancelled },
    imagesRendered: batch.imagesRendered,
    imagesFailed: batch.imagesFailed,
    imagesFlagged: batch.imagesFlagged,
    itemsWarned: batch.itemsWarned,
    imagesPerSecond: batch.imagesPerSecond,
    etaSeconds: batch.etaSeconds ?? null,
    schedulers: batch.schedulers.map(({ scheduler, images, imageCount, imagesPerSecond, steps, seconds }) => ({
      scheduler,
      images: Number(images),
      imageCount: imageCount ?? null,
      imagesPerSecond,
      steps: Number(steps),
      seconds,
    })),
  }
}

/** A batch that was accepted and that no coordinator has told anything of. */
export function acceptedProgress(document: BatchDocument): BatchProgress {
  const { id, createdAt, itemCount, imageCount, approveAfter } = document
  const schedulers = [...schedulerImagesOf(document)].map(([scheduler, asked]) => ({
    scheduler,
    images: 0,
    imageCount: asked,
    imagesPerSecond: 0,
    steps: 0,
    seconds: 0,
  }))
  return {
    id,
    state: 'queued',
    paused: false,
    priority: 0,
    completeBy: null,
    approval: approveAfter === undefined ? null : { afterItems: approveAfter, state: 'rendering' },
    pausedItems: null,
    cancelledItems: null,
    atRisk: false,
    createdAt,
    startedAt: null,
    endedAt: null,
    itemCount,
    imageCount,
    items: { open: itemCount, rendered: 0, failed: 0, cancelled: 0 },
    imagesRendered: 0,
    imagesFailed: 0,
    imagesFlagged: 0,
    itemsWarned: 0,
    imagesPerSecond: 0,
    etaSeconds: null,
    schedulers,
  }
}

export function batchJson(progress: BatchProgress, document: BatchDocument): Static<typeof batchSchema> {
  return {
    ...progress,
    checkpoints: [...document.checkpoints],
    metadata: { ...document.metadata },
    retryOf: document.retryOf ?? null,
  }
}

export function isEnded(state: BatchState): boolean {
  return state === BatchState.COMPLETED || state === BatchState.CANCELLED
}

export function isoTime(timestamp: Timestamp | undefined): string | null {
  return timestamp === undefined ? null : timestampDate(timestamp).toISOString()
}

function approvalJson(approval: Approval | undefined): BatchProgress['approval'] {
  if (approval === undefined) return null
  return { afterItems: approval.afterItems, state: APPROVALS[approval.state as keyof typeof APPROVALS] }
}

function rangesText(ranges: readonly ItemRange[]): string | null {
  return ranges.length === 0 ? null : formatItemRanges(rangesOfMessages(ranges))
}

/** What this gateway does not know yet is shown as queued. */
function stateName(state: BatchState): (typeof STATES)[keyof typeof STATES] {
  return Object.hasOwn(STATES, state) ? STATES[state as keyof typeof STATES] : 'queued'
}
