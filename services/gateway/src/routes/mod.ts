import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { a1111 } from './a1111.ts'
import { apiKeys } from './api-keys.ts'
import { audit } from './audit.ts'
import { batchEvents } from './batch-events.ts'
import { batchItems } from './batch-items.ts'
import { cancelBatch } from './cancel-batch.ts'
import { contactSheet } from './contact-sheet.ts'
import { dashboard } from './dashboard.ts'
import { drainWorker } from './drain-worker.ts'
import { explainItem } from './explain-item.ts'
import { getBatch } from './get-batch.ts'
import { getImage } from './get-image.ts'
import { huggingFace } from './hugging-face.ts'
import { getLedger } from './get-ledger.ts'
import { listBatches } from './list-batches.ts'
import { listCheckpoints } from './list-checkpoints.ts'
import { listSchedulers } from './list-schedulers.ts'
import { listWorkers } from './list-workers.ts'
import { me } from './me.ts'
import { openAiBatches } from './openai-batches.ts'
import { openAiFiles } from './openai-files.ts'
import { openAiImages } from './openai-images.ts'
import { openAiModels } from './openai-models.ts'
import { openapi } from './openapi.ts'
import { quoteBatch } from './quote-batch.ts'
import { resultFiles } from './result-files.ts'
import { retryBatch } from './retry-batch.ts'
import { submitBatch } from './submit-batch.ts'
import { updateBatch } from './update-batch.ts'
import { uploadPicture } from './upload-picture.ts'

/** Every route; each file adds its own. */
export const ROUTES: readonly ((app: App, context: GatewayContext) => void)[] = [
  dashboard,
  openapi,
  submitBatch,
  quoteBatch,
  uploadPicture,
  listBatches,
  getBatch,
  updateBatch,
  cancelBatch,
  retryBatch,
  batchEvents,
  batchItems,
  explainItem,
  resultFiles,
  getImage,
  contactSheet,
  getLedger,
  listWorkers,
  drainWorker,
  listCheckpoints,
  listSchedulers,
  apiKeys,
  audit,
  me,
  openAiFiles,
  openAiBatches,
  openAiImages,
  openAiModels,
  huggingFace,
  a1111,
]
