import { DarkroomError } from '@darkroom/chassis'
import type { BatchDocument } from '@darkroom/proto'
import type { GatewayEvents } from '../events.ts'
import { AlreadyClaimed } from './claim.ts'
import { Intake } from './intake.ts'
import type { IntakeRequest, IntakeRules } from './intake.ts'

/** What is under way; the service waits for it at its end. */
export type OpenWork = Set<Promise<unknown>>

/**
 * Takes a batch in from its first item to batch.json. Whatever goes wrong on the way, nothing of it stays.
 * @throws DarkroomError INVALID_REQUEST, PAYLOAD_TOO_LARGE, STORE_UNAVAILABLE; AlreadyClaimed
 */
export function acceptBatch(
  rules: IntakeRules,
  request: IntakeRequest,
  read: (intake: Intake) => Promise<void>,
  { events, openWork }: { events: GatewayEvents; openWork: OpenWork },
): Promise<BatchDocument> {
  const intake = new Intake(rules, request)
  const { batchId } = intake
  const discard = (): Promise<void> => intake.discard().catch((err: unknown) => events.partsNotDeleted(batchId, err))
  const accept = async (): Promise<BatchDocument> => {
    const start = performance.now()
    try {
      await read(intake)
      const document = await intake.accept()
      const seconds = (performance.now() - start) / 1000
      events.batchAccepted({ batchId, items: document.itemCount, images: document.imageCount, seconds })
      return document
    } catch (reason) {
      const code = reason instanceof AlreadyClaimed ? 'CONFLICT' : DarkroomError.from(reason).code
      const discarded = track(openWork, discard())
      // A store that does not answer would keep the caller waiting twice.
      if (code !== 'STORE_UNAVAILABLE') await discarded
      events.batchRefused({ batchId, items: intake.itemCount, code })
      throw reason
    }
  }
  return track(openWork, accept())
}

function track<T>(openWork: OpenWork, work: Promise<T>): Promise<T> {
  const tracked: Promise<unknown> = work.then(
    () => openWork.delete(tracked),
    () => openWork.delete(tracked),
  )
  openWork.add(tracked)
  return work
}
