import { DarkroomError } from '@darkroom/chassis'
import type { ServiceImpl } from '@darkroom/chassis'
import type { CoordinatorService } from '@darkroom/proto'
import type { RpcContext } from './context.ts'

/** Answers once the order is on its way: the worker's state tells how it goes on. */
export function drainWorker({ leadership, links }: RpcContext): ServiceImpl<typeof CoordinatorService>['drainWorker'] {
  return async ({ workerId }) => {
    const farm = await leadership.farm()
    if (!farm.state.workers.has(workerId) || !links.drain(workerId))
      throw new DarkroomError('NOT_FOUND', `no worker ${workerId} is attached: darkroom workers lists them`)
    return {}
  }
}
