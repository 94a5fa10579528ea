import { BatchState, keys } from '@darkroom/proto'
import type { BatchDocument, CancelDocument } from '@darkroom/proto'
import { Type } from 'typebox'
import type { Static, TSchema } from 'typebox'
import { isEnded, isoTime } from '../batches/batch-json.ts'
import type { CoreContext } from '../context.ts'
import type { Outcome } from '../ingest/claim.ts'
import type { OpenAiBatchDocument } from './documents.ts'
import { resultFileId, unixSeconds } from './ids.ts'
import type { ResultKind } from './ids.ts'

const STATUSES = [
  'validating',
  'failed',
  'in_progress',
  'finalizing',
  'completed',
  'expired',
  'cancelling',
  'cancelled',
] as const
type Status = (typeof STATUSES)[number]

const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])
const time = orNull(Type.Integer({ description: 'Unix seconds.' }))

export const openAiBatchSchema = Type.Object({
  id: Type.String(),
  object: Type.Literal('batch'),
  endpoint: Type.String(),
  errors: orNull(
    Type.Object({
      object: Type.Literal('list'),
      data: Type.Array(
        Type.Object({
          code: Type.String(),
          line: orNull(Type.Integer()),
          message: Type.String(),
          param: orNull(Type.String()),
        }),
      ),
    }),
  ),
  input_file_id: Type.String(),
  completion_window: Type.String(),
  status: Type.Enum([...STATUSES]),
  output_file_id: orNull(Type.String()),
  error_file_id: orNull(Type.String()),
  created_at: Type.Integer(),
  in_progress_at: time,
  expires_at: time,
  finalizing_at: time,
  completed_at: time,
  failed_at: time,
  expired_at: time,
  cancelling_at: time,
  cancelled_at: time,
  request_counts: Type.Object({ total: Type.Integer(), completed: Type.Integer(), failed: Type.Integer() }),
  metadata: orNull(Type.Record(Type.String(), Type.String())),
  darkroom_batch_id: orNull(Type.String({ description: 'The same batch under /api/v1/batches.' })),
})

export type OpenAiBatch = Static<typeof openAiBatchSchema>

/** A batch as OpenAI's clients see it. @throws DarkroomError COORDINATOR_UNAVAILABLE, STORE_UNAVAILABLE */
export async function viewOpenAiBatch(
  context: CoreContext,
  document: OpenAiBatchDocument,
  outcome: Outcome | null,
): Promise<OpenAiBatch> {
  const view: OpenAiBatch = {
    id: document.id,
    object: 'batch',
    endpoint: document.endpoint,
    errors: null,
    input_file_id: document.input_file_id,
    completion_window: document.completion_window,
    status: 'validating',
    output_file_id: null,
    error_file_id: null,
    created_at: unixSeconds(document.createdAt),
    in_progress_at: null,
    expires_at: unixSeconds(document.expiresAt),
    finalizing_at: null,
    completed_at: null,
    failed_at: null,
    expired_at: null,
    cancelling_at: null,
    cancelled_at: null,
    request_counts: { total: 0, completed: 0, failed: 0 },
    metadata: { ...document.metadata },
    darkroom_batch_id: null,
  }
  if (outcome === null) return view
  switch (outcome.kind) {
    case 'failed': {
      const errors = { object: 'list' as const, data: outcome.errors.map((error) => ({ ...error })) }
      return { ...view, status: 'failed', failed_at: unixSeconds(outcome.at), errors }
    }
    case 'cancelled': {
      const at = unixSeconds(outcome.at)
      return { ...view, status: 'cancelled', cancelling_at: at, cancelled_at: at }
    }
    default:
      return viewAccepted(context, view, document, outcome.document)
  }
}

async function viewAccepted(
  context: CoreContext,
  view: OpenAiBatch,
  { tenant, id }: OpenAiBatchDocument,
  native: BatchDocument,
): Promise<OpenAiBatch> {
  const { coordinator, store } = context
  const { batch } = await coordinator.submitBatch({ batchId: native.id })
  const { state, items, endedAt } = batch!
  const { rendered = 0, failed = 0, cancelled = 0 } = items ?? {}
  // One that completed had ended before its cancellation was asked for.
  const mayBeCancelled = state !== BatchState.QUEUED && state !== BatchState.RUNNING && state !== BatchState.COMPLETED
  const cancel = mayBeCancelled ? await store.getJson<CancelDocument>(keys.cancel(native.id)) : null
  const isWithdrawn = cancel !== null && cancel.reason !== 'expired'
  const status = statusOf(state, isWithdrawn)
  const at = isoTime(endedAt)
  const ended = at === null ? null : unixSeconds(at)
  const unfinished = failed + (isEnded(state) ? cancelled : 0)
  const fileId = async (kind: ResultKind, lines: number): Promise<string | null> => {
    if (!isEnded(state) || lines === 0) return null
    return (await store.head(keys.openAiDeleted(tenant, id, kind))) === null ? resultFileId(kind, id) : null
  }
  return {
    ...view,
    status,
    output_file_id: await fileId('output', rendered),
    error_file_id: await fileId('error', unfinished),
    in_progress_at: unixSeconds(native.createdAt),
    finalizing_at: status === 'completed' ? ended : null,
    completed_at: status === 'completed' ? ended : null,
    expired_at: status === 'expired' ? ended : null,
    cancelling_at: isWithdrawn ? unixSeconds(cancel.requestedAt) : null,
    cancelled_at: status === 'cancelled' ? ended : null,
    request_counts: { total: native.itemCount, completed: rendered, failed: unfinished },
    darkroom_batch_id: native.id,
  }
}

function statusOf(state: BatchState, isWithdrawn: boolean): Status {
  switch (state) {
    case BatchState.FINALIZING:
      return isWithdrawn ? 'cancelling' : 'finalizing'
    case BatchState.COMPLETED:
      return 'completed'
    case BatchState.CANCELLING:
      return isWithdrawn ? 'cancelling' : 'finalizing'
    case BatchState.CANCELLED:
      return isWithdrawn ? 'cancelled' : 'expired'
    default:
      return 'in_progress'
  }
}
