import { implement } from '@darkroom/chassis'
import type { ServiceRegistration } from '@darkroom/chassis'
import { CoordinatorService, WorkerLinkService } from '@darkroom/proto'
import { attach } from './attach.ts'
import { cancelBatch } from './cancel-batch.ts'
import type { RpcContext } from './context.ts'
import { drainWorker } from './drain-worker.ts'
import { explainItem } from './explain-item.ts'
import { getBatch } from './get-batch.ts'
import { getLedger } from './get-ledger.ts'
import { listBatches } from './list-batches.ts'
import { listWorkers } from './list-workers.ts'
import { quoteBatch } from './quote-batch.ts'
import { submitBatch } from './submit-batch.ts'
import { updateBatch } from './update-batch.ts'
import { watchBatch } from './watch-batch.ts'

export function registerServices(context: RpcContext): ServiceRegistration[] {
  return [
    implement(CoordinatorService, ['gateway'], {
      submitBatch: submitBatch(context),
      getBatch: getBatch(context),
      listBatches: listBatches(context),
      watchBatch: watchBatch(context),
      cancelBatch: cancelBatch(context),
      updateBatch: updateBatch(context),
      explainItem: explainItem(context),
      quoteBatch: quoteBatch(context),
      getLedger: getLedger(context),
      listWorkers: listWorkers(context),
      drainWorker: drainWorker(context),
    }),
    implement(WorkerLinkService, ['worker'], { attach: attach(context) }),
  ]
}
