import type { Client, ObjectStore } from '@darkroom/chassis'
import type { Batch, CoordinatorService } from '@darkroom/proto'
import type { TProperties } from 'typebox'
import type { AuditLog } from './audit/audit-log.ts'
import type { Credentials } from './auth/authentication.ts'
import type { ImageUrls } from './auth/image-urls.ts'
import type { BatchDocuments } from './batches/batch-documents.ts'
import type { SharedCalls } from './batches/shared-calls.ts'
import type { CheckpointCatalog } from './checkpoints/catalog.ts'
import type { GatewayConfig } from './config.ts'
import type { GatewayEvents } from './events.ts'
import type { OpenWork } from './ingest/accept-batch.ts'
import type { IntakeRules } from './ingest/intake.ts'
import type { OpenAi } from './openai/mod.ts'
import type { InputPictures } from './pictures/input-pictures.ts'

/** What the rooms of the gateway work with. */
export interface CoreContext {
  readonly config: GatewayConfig
  readonly store: ObjectStore
  readonly coordinator: Client<typeof CoordinatorService>
  readonly catalog: CheckpointCatalog
  readonly pictures: InputPictures
  readonly documents: BatchDocuments
  /** How batches stand, by the coordinator's word. */
  readonly standings: SharedCalls<Batch>
  readonly intakeRules: IntakeRules
  readonly itemProperties: TProperties
  readonly credentials: Credentials
  readonly imageUrls: ImageUrls
  readonly auditLog: AuditLog
  readonly events: GatewayEvents
  /** Batches on their way in: the service waits for them at its end, so that none leaves a half. */
  readonly openWork: OpenWork
  /** Aborts when the service stops: event streams end. */
  readonly stopping: AbortSignal
}

/** What routes work with. */
export interface GatewayContext extends CoreContext {
  readonly openAi: OpenAi
}
