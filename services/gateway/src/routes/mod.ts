import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { batchEvents } from './batch-events.ts'
import { batchItems } from './batch-items.ts'
import { cancelBatch } from './cancel-batch.ts'
import { explainItem } from './explain-item.ts'
import { getBatch } from './get-batch.ts'
import { getImage } from './get-image.ts'
import { getLedger } from './get-ledger.ts'
import { indexPage } from './index-page.ts'
import { listBatches } from './list-batches.ts'
import { listCheckpoints } from './list-checkpoints.ts'
import { listSchedulers } from './list-schedulers.ts'
import { listWorkers } from './list-workers.ts'
import { openapi } from './openapi.ts'
import { quoteBatch } from './quote-batch.ts'
import { resultFiles } from './result-files.ts'
import { retryBatch } from './retry-batch.ts'
import { submitBatch } from './submit-batch.ts'
import { updateBatch } from './update-batch.ts'
import { uploadPicture } from './upload-picture.ts'

/** Every route; each file adds its own. */
export const ROUTES: readonly ((app: App, context: GatewayContext) => void)[] = [
  indexPage,
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
  getLedger,
  listWorkers,
  listCheckpoints,
  listSchedulers,
]
