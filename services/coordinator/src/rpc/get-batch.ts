import type { ServiceImpl } from '@darkroom/chassis'
import type { CoordinatorService } from '@darkroom/proto'
import type { RpcContext } from './context.ts'

export function getBatch({ leadership, batches }: RpcContext): ServiceImpl<typeof CoordinatorService>['getBatch'] {
  return async ({ batchId }) => ({ batch: (await batches.view(await leadership.farm(), batchId)).batch })
}
