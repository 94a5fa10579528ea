import { nullIfNotFound } from '@darkroom/chassis'
import type { ServiceImpl } from '@darkroom/chassis'
import type { CoordinatorService } from '@darkroom/proto'
import type { Batches } from '../batches.ts'
import type { Farm } from '../farm.ts'
import type { RpcContext } from './context.ts'

const DEFAULT_PAGE = 20
const MAX_PAGE = 100

/** Newest first; a page token is the last id that was listed. */
export function listBatches({
  leadership,
  batches,
}: RpcContext): ServiceImpl<typeof CoordinatorService>['listBatches'] {
  return async ({ pageSize, pageToken, tenant }) => {
    const farm = await leadership.farm()
    const size = Math.min(pageSize === 0 ? DEFAULT_PAGE : pageSize, MAX_PAGE)
    const older = leadership.batchIds().filter((id) => pageToken === '' || id < pageToken)
    const { page, isLast } = await newestOf(batches, farm, older, tenant, size)
    // One may have been deleted since.
    const views = await Promise.all(page.map((id) => batches.view(farm, id).catch(nullIfNotFound)))
    return { batches: views.flatMap((view) => view?.batch ?? []), nextPageToken: isLast ? '' : page.at(-1)! }
  }
}

/** The last `size` ids, newest first; those of one tenant, where one is named. */
async function newestOf(
  batches: Batches,
  farm: Farm,
  ids: readonly string[],
  tenant: string,
  size: number,
): Promise<{ readonly page: readonly string[]; readonly isLast: boolean }> {
  if (tenant === '') return { page: ids.slice(-size).toReversed(), isLast: ids.length <= size }
  const page: string[] = []
  for (let end = ids.length; end > 0; end -= size) {
    const some = ids.slice(Math.max(0, end - size), end).toReversed()
    const tenants = await Promise.all(some.map((id) => batches.tenantOf(farm, id)))
    for (const [i, id] of some.entries()) {
      if (tenants[i] !== tenant) continue
      if (page.length === size) return { page, isLast: false }
      page.push(id)
    }
  }
  return { page, isLast: true }
}
