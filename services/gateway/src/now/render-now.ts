import { DarkroomError } from '@darkroom/chassis'
import type { Problem } from '@darkroom/chassis'
import { CANCELLED } from '@darkroom/proto'
import type { BatchDocument, Preview, RenderedImage } from '@darkroom/proto'
import { isEnded } from '../batches/batch-json.ts'
import { followBatch } from '../batches/follow-batch.ts'
import { tellCoordinator } from '../batches/tell-coordinator.ts'
import type { CoreContext } from '../context.ts'
import { acceptBatch } from '../ingest/accept-batch.ts'
import { BatchPictures } from '../ingest/batch-pictures.ts'
import type { TellQuota } from '../ingest/daily-images.ts'
import type { ItemInput } from '../ingest/item-schema.ts'
import { readItemPage } from '../items/item-page.ts'

/** As long as OpenAI's clients wait. */
const WAIT_MS = 10 * 60_000

export interface RenderRequest {
  readonly tenant: string
  readonly item: ItemInput
  /** Gives a problem's field the name that the caller knows it by. */
  readonly locate: (problem: Problem) => Problem
  readonly traceparent: string
  readonly tellQuota: TellQuota
  /** Aborts when the caller is gone. */
  readonly signal: AbortSignal
  /** The next comes when it has seen to this one. */
  readonly onPreview?: (preview: Preview) => void | Promise<void>
}

/** The pictures of one item, and the batch that they are in. */
export interface Rendered {
  readonly batch: BatchDocument
  readonly images: readonly RenderedImage[]
  readonly width: number
  readonly height: number
}

/**
 * Renders one item before all batches and waits for it. It is a batch as any other: stored, followed, resumed where a worker
 * dies. Where its caller leaves, or the wait is over, it is cancelled.
 * @throws DarkroomError INVALID_REQUEST; RENDER_FAILED; DEADLINE_EXCEEDED; CANCELLED where an operator cancelled it
 */
export async function renderNow(context: CoreContext, request: RenderRequest): Promise<Rendered> {
  const { tenant, item, locate, traceparent, tellQuota } = request
  const batch = await acceptBatch(
    context.intakeRules,
    {
      tenant,
      defaults: {},
      pictures: new BatchPictures(context.pictures, tenant),
      metadata: {},
      traceparent,
      now: new Date(),
      claim: null,
      isInteractive: true,
      tellQuota,
      locate,
    },
    async (intake) => intake.add(item, 0),
    context,
  )
  context.documents.keep(batch)
  await tellCoordinator(context, batch)
  await untilEnd(context, batch.id, request)
  return renderedOf(context, batch)
}

async function untilEnd(
  context: CoreContext,
  batchId: string,
  { signal, onPreview }: Pick<RenderRequest, 'signal' | 'onPreview'>,
): Promise<void> {
  const deadline = AbortSignal.timeout(WAIT_MS)
  const ended = AbortSignal.any([signal, context.stopping, deadline])
  for await (const { batch, preview } of followBatch(context, batchId, ended)) {
    if (preview !== undefined) await onPreview?.(preview)
    if (batch !== undefined && isEnded(batch.state)) return
  }
  await context.coordinator.cancelBatch({ batchId })
  if (deadline.aborted) {
    const minutes = WAIT_MS / 60_000
    throw new DarkroomError('DEADLINE_EXCEEDED', `not rendered within ${minutes} minutes: send it as a batch`)
  }
  throw new DarkroomError('CANCELLED', 'the request was broken off before its picture was rendered')
}

async function renderedOf(context: CoreContext, batch: BatchDocument): Promise<Rendered> {
  const standing = { runningShards: new Set<string>(), isCancelled: true }
  const { entries } = await readItemPage(context.store, batch, standing, { from: 0, limit: 1, states: null })
  const { line, outcome } = entries[0]!
  const { result } = outcome
  if (result?.state === 'rendered') return { batch, images: result.images, width: line.width, height: line.height }
  const isFailed = result?.state === 'failed'
  throw new DarkroomError(isFailed ? 'RENDER_FAILED' : CANCELLED.code, (result ?? CANCELLED).message)
}
