import { ObjectStore } from '@darkroom/chassis'
import { verifyBatch } from '@darkroom/cli'
import { keys } from '@darkroom/proto'
import type { DoneDocument, OutputLine } from '@darkroom/proto'
import type { Farm } from '@darkroom/local'
import { setTimeout as delay } from 'node:timers/promises'

export interface Audit {
  readonly batches: number
  readonly items: number
  /** Items of accepted batches without an end, or with one that their batch did not ask for. */
  readonly lost: number
  /** Items with more than one output line. */
  readonly duplicated: number
  /** Violations of `darkroom verify`, and pictures that differ from those of the same request. */
  readonly wrong: number
  readonly findings: readonly string[]
}

/** A farm, or whatever else has a bucket. */
interface Audited {
  readonly farm: Pick<Farm, 'storeConfig'>
}

const POLL_MS = 500

/** Waits until every batch in the bucket has ended. @returns the ids of all, and of those that have not within the time */
export async function awaitEnds(
  { farm }: Audited,
  patienceMs: number,
): Promise<{ readonly ids: readonly string[]; readonly open: readonly string[] }> {
  using store = ObjectStore.open(farm.storeConfig)
  const until = performance.now() + patienceMs
  for (;;) {
    const ids: string[] = []
    for await (const prefix of store.listPrefixes(keys.batches)) {
      const id = prefix.slice(keys.batches.length, -1)
      // One whose gateway died amid its upload was never accepted.
      if ((await store.head(keys.batch(id))) !== null) ids.push(id)
    }
    const open: string[] = []
    for (const id of ids) if ((await store.head(keys.done(id))) === null) open.push(id)
    if (open.length === 0 || performance.now() > until) return { ids, open }
    await delay(POLL_MS)
  }
}

/** Looks at every batch of the bucket, by `darkroom verify` and by what was asked for. */
export async function audit(
  { farm }: Audited,
  accepted: ReadonlySet<string>,
  { ids, open }: Awaited<ReturnType<typeof awaitEnds>>,
): Promise<Audit> {
  using store = ObjectStore.open(farm.storeConfig)
  const findings: string[] = []
  const count = { items: 0, lost: 0, duplicated: 0, wrong: 0 }
  const found = (kind: 'lost' | 'duplicated' | 'wrong', finding: string, items = 1): void => {
    count[kind] += items
    findings.push(`${kind}: ${finding}`)
  }
  /** The picture of each request, by what it asks for. */
  const pictures = new Map<string, string>()
  for (const id of accepted) if (!ids.includes(id)) found('lost', `batch ${id} was accepted and is not in the bucket`)
  for (const id of ids) {
    const batch = (await store.getJson<{ itemCount: number }>(keys.batch(id)))!
    count.items += batch.itemCount
    if (open.includes(id)) {
      found('lost', `batch ${id} has not ended`, batch.itemCount)
      continue
    }
    const { violations } = await verifyBatch(store, id)
    for (const violation of violations) found('wrong', `${id}: ${violation}`)
    const { state, items } = (await store.getJson<DoneDocument>(keys.done(id)))!
    const cancelled = state === 'cancelled' ? 0 : items.cancelled
    if (items.failed + cancelled > 0) found('lost', `${id}: ${JSON.stringify(items)}`, items.failed + cancelled)
    const seen = new Set<number>()
    for (const line of await linesOf<OutputLine>(store, keys.output(id))) {
      if (seen.has(line.index)) found('duplicated', `${id}: item ${line.index} has two lines`)
      seen.add(line.index)
      for (const { seed, sha256 } of line.images) {
        const request = `${line.scheduler} ${line.numInferenceSteps} ${seed}`
        const before = pictures.get(request) ?? sha256
        if (before !== sha256) found('wrong', `${id}: item ${line.index} (${request}) has another picture than before`)
        pictures.set(request, before)
      }
    }
  }
  return { batches: ids.length, ...count, findings }
}

async function linesOf<T>(store: ObjectStore, key: string): Promise<T[]> {
  const text = Buffer.from((await store.get(key)) ?? []).toString()
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T)
}
