import type { ServiceImpl } from '@darkroom/chassis'
import type { CoordinatorService } from '@darkroom/proto'
import type { RpcContext } from './context.ts'

const DEFAULT_PAGE = 20
const MAX_PAGE = 100

/** Newest first; a page token is the last id that was listed. */
export function listBatches({
  leadership,
  batches,
}: RpcContext): ServiceImpl<typeof CoordinatorService>['listBatches'] {
  return async ({ pageSize, pageToken }) => {
    const farm = await leadership.farm()
    const size = Math.min(pageSize === 0 ? DEFAULT_PAGE : pageSize, MAX_PAGE)
    const older = leadership.batchIds().filter((id) => pageToken === '' || id < pageToken)
    const page = older.slice(-size).toReversed()
    const views = await Promise.all(page.map((id) => batches.view(farm, id)))
    return { batches: views.map(({ batch }) => batch), nextPageToken: older.length > size ? page.at(-1)! : '' }
  }
}
