import type { ServiceImpl } from '@darkroom/chassis'
import type { CoordinatorService } from '@darkroom/proto'
import type { RpcContext } from './context.ts'

export function listWorkers({ leadership }: RpcContext): ServiceImpl<typeof CoordinatorService>['listWorkers'] {
  return async () => {
    const farm = await leadership.farm()
    const { quarantined } = farm.state.suspects
    const workers = [...farm.state.workers.values()].map(({ id, snapshot }) => {
      return { ...snapshot, quarantine: quarantined.get(id)?.reason ?? '' }
    })
    return { workers: workers.toSorted((a, b) => (a.id < b.id ? -1 : 1)) }
  }
}
