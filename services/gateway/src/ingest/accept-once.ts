import { DarkroomError } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { BatchDocument } from '@darkroom/proto'
import { sha256Hex } from '../auth/api-key.ts'
import type { GatewayContext } from '../context.ts'
import { acceptBatch } from './accept-batch.ts'
import { AlreadyClaimed, idempotencyKeyOf, outcomeOf } from './claim.ts'
import type { Deleted, Outcome } from './claim.ts'
import type { TellQuota } from './daily-images.ts'
import type { Submission } from './submission.ts'

/**
 * Takes a batch in; under an Idempotency-Key once, however often it is sent and to however many gateways.
 * @throws DarkroomError as `acceptBatch`; IDEMPOTENCY_KEY_REUSED for another request with the same key; NOT_FOUND for a batch that was
 * deleted since
 */
export async function acceptOnce(
  context: GatewayContext,
  submission: Submission,
  { header, tellQuota }: { readonly header: string | readonly string[] | undefined; readonly tellQuota: TellQuota },
): Promise<{ readonly document: BatchDocument; readonly isReplay: boolean }> {
  const { read, drain, fingerprint } = submission
  const request = { ...submission.request, tellQuota }
  const idempotencyKey = idempotencyKeyOf(header)
  if (idempotencyKey === null) {
    return { document: await acceptBatch(context.intakeRules, request, read, context), isReplay: false }
  }
  const key = keys.idempotency(request.tenant, sha256Hex(idempotencyKey))
  const replay = (outcome: Outcome | Deleted) => ({ document: sameOf(outcome, fingerprint()), isReplay: true })
  const known = await outcomeOf(context.store, key)
  if (known !== null) {
    await drain()
    return replay(known)
  }
  try {
    const claimed = { ...request, claim: { key, fingerprint } }
    return { document: await acceptBatch(context.intakeRules, claimed, read, context), isReplay: false }
  } catch (reason) {
    if (reason instanceof AlreadyClaimed) return replay(reason.outcome)
    throw reason
  }
}

function sameOf(outcome: Outcome | Deleted, fingerprint: string): BatchDocument {
  if (outcome.kind === 'accepted' && outcome.fingerprint === fingerprint) return outcome.document
  if (outcome.kind === 'deleted' && outcome.fingerprint === fingerprint)
    throw new DarkroomError('NOT_FOUND', `this Idempotency-Key made batch ${outcome.batchId}, which is deleted by now`)
  throw new DarkroomError(
    'IDEMPOTENCY_KEY_REUSED',
    'this Idempotency-Key came with another request before: take a new key for a new request',
  )
}
