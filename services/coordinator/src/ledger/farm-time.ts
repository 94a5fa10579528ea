import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { WorkerDayDocument } from '@darkroom/proto'
import { inOrder } from '../in-order.ts'
import { keysOfDays } from './keys-of-days.ts'

/** What became of the time of all devices. */
export interface FarmTime {
  readonly wallSeconds: number
  readonly renderSeconds: number
  readonly loadSeconds: number
  readonly idleSeconds: number
}

const READ_AHEAD = 64

/**
 * From the first to the last day, YYYY-MM-DD, by what workers told of them.
 * @param newest by key, what is known better than the bucket does
 */
export async function farmTimeOf(
  store: ObjectStore,
  newest: ReadonlyMap<string, WorkerDayDocument>,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<FarmTime> {
  const sum = { wallSeconds: 0, renderSeconds: 0, loadSeconds: 0 }
  const add = ({ wallSeconds, renderSeconds, loadSeconds }: WorkerDayDocument): void => {
    sum.wallSeconds += wallSeconds
    sum.renderSeconds += renderSeconds
    sum.loadSeconds += loadSeconds
  }
  const stored = await keysOfDays(store, keys.ledgerWorkers, { from, to })
  const others = stored.filter((key) => !newest.has(key))
  for await (const document of inOrder(others, READ_AHEAD, (key) => store.getJson<WorkerDayDocument>(key)))
    if (document !== null) add(document)
  for (const document of newest.values()) if (document.day >= from && document.day <= to) add(document)
  return { ...sum, idleSeconds: sum.wallSeconds - sum.renderSeconds - sum.loadSeconds }
}
