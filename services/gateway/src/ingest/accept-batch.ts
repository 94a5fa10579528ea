import { DarkroomError } from '@darkroom/chassis'
import type { BatchDocument } from '@darkroom/proto'
import type { GatewayEvents } from '../events.ts'
import { Intake } from './intake.ts'
import type { IntakeRequest, IntakeRules } from './intake.ts'

/**
 * Takes a batch in from its first item to batch.json. Whatever goes wrong on the way, nothing of it stays.
 * @throws DarkroomError INVALID_REQUEST, PAYLOAD_TOO_LARGE, STORE_UNAVAILABLE
 */
export async function acceptBatch(
  rules: IntakeRules,
  request: IntakeRequest,
  read: (intake: Intake) => Promise<void>,
  events: GatewayEvents,
): Promise<BatchDocument> {
  const intake = new Intake(rules, request)
  const { batchId } = intake
  const start = performance.now()
  try {
    await read(intake)
    const document = await intake.accept()
    const seconds = (performance.now() - start) / 1000
    events.batchAccepted({ batchId, items: document.itemCount, images: document.imageCount, seconds })
    return document
  } catch (reason) {
    await intake.discard().catch((err: unknown) => events.partsNotDeleted(batchId, err))
    events.batchRefused({ batchId, items: intake.itemCount, code: DarkroomError.from(reason).code })
    throw reason
  }
}
