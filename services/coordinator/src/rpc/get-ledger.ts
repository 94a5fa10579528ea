import { DarkroomError } from '@darkroom/chassis'
import type { ServiceImpl } from '@darkroom/chassis'
import { keys, LedgerGrouping } from '@darkroom/proto'
import type { CoordinatorService, LedgerDocument } from '@darkroom/proto'
import { inOrder } from '../in-order.ts'
import { farmTimeOf } from '../ledger/farm-time.ts'
import { keysOfDays } from '../ledger/keys-of-days.ts'
import { LedgerSums } from '../ledger/ledger-sums.ts'
import type { Grouping, LedgerSum } from '../ledger/ledger-sums.ts'
import type { RpcContext } from './context.ts'

const READ_AHEAD = 64
/** What fits into one answer. */
const MAX_LINES = 10_000

const GROUPINGS: Readonly<Record<number, Grouping>> = {
  [LedgerGrouping.TENANT]: 'tenant',
  [LedgerGrouping.CHECKPOINT]: 'checkpoint',
  [LedgerGrouping.SCHEDULER]: 'scheduler',
  [LedgerGrouping.BATCH]: 'batch',
}

export function getLedger({
  leadership,
  store,
  pricePerDeviceSecond,
}: RpcContext): ServiceImpl<typeof CoordinatorService>['getLedger'] {
  return async ({ from, to, by, tenant }) => {
    const grouping = GROUPINGS[by]
    if (grouping === undefined) throw new DarkroomError('INVALID_REQUEST', `${by} is nothing to sum the ledger by`)
    for (const day of [from, to])
      if (!isDay(day)) throw new DarkroomError('INVALID_REQUEST', `'${day}' is no day: it is written YYYY-MM-DD`)
    const { workerDays } = await leadership.farm()
    const sums = new LedgerSums(grouping)
    const entries = await keysOfDays(store, keys.ledger, { from, to })
    for await (const document of inOrder(entries, READ_AHEAD, (key) => store.getJson<LedgerDocument>(key)))
      if (document !== null && (tenant === '' || document.tenant === tenant)) sums.add(document)
    if (sums.groups.size > MAX_LINES)
      throw new DarkroomError('INVALID_REQUEST', `more than ${MAX_LINES} lines: ask for fewer days`)
    const line = (name: string, sum: LedgerSum, isOfShards: boolean) => ({
      name,
      deviceSeconds: sum.deviceSeconds,
      images: BigInt(sum.images),
      steps: BigInt(sum.steps),
      ...(isOfShards && {
        retries: BigInt(sum.retries),
        loadSeconds: sum.loadSeconds,
        failedSeconds: sum.failedSeconds,
      }),
      ...(pricePerDeviceSecond > 0 && { price: sum.deviceSeconds * pricePerDeviceSecond }),
    })
    const { deviceSeconds: billedSeconds } = sums.total
    const farm = tenant === '' ? await farmTimeOf(store, workerDays.documents, { from, to }) : null
    const largestFirst = [...sums.groups].sort(([, a], [, b]) => b.deviceSeconds - a.deviceSeconds)
    return {
      lines: largestFirst.map(([name, sum]) => line(name, sum, grouping !== 'scheduler')),
      total: line('', sums.total, true),
      ...(farm !== null && {
        farm: { ...farm, billedSeconds, unbilledSeconds: farm.renderSeconds - billedSeconds },
      }),
    }
  }
}

function isDay(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text))
}
