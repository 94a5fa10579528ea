import { halvesOf, includesItem, keys, withoutRanges } from '@darkroom/proto'
import type {
  CommitRecord,
  ControlDocument,
  DoneDocument,
  ItemRanges,
  LedgerDocument,
  PlanSegment,
  WorkerDayDocument,
} from '@darkroom/proto'
import type { Nature } from './item.ts'
import type { Invariant } from './violation.ts'
import type { VirtualBucket } from './virtual-bucket.ts'

/** A batch as its user gave it, and what the bucket has come to hold of it. */
interface WatchedBatch {
  readonly natures: readonly Nature[]
  /** The shard that each item has its place in. */
  readonly shardOf: Map<number, string>
  readonly sizes: Map<string, number>
  readonly records: Map<string, CommitRecord>
  readonly images: Set<string>
  /** Its entries of the ledger, by key. */
  readonly ledger: Map<string, LedgerDocument>
  /** What the records sum to. */
  readonly states: { rendered: number; failed: number; cancelled: number }
  /** The first item that waits for a yes; null where none does any more. */
  heldFrom: number | null
  /** Items that somebody wants cancelled. */
  cancelledItems: ItemRanges
  /** Somebody wants all of it cancelled. */
  isToCancel: boolean
  /** Its cancellation was acknowledged. */
  isCancelled: boolean
  done: DoneDocument | null
}

const ROUNDING = 1e-6
const NO_SHARD = { checkpoint: '', task: '', width: 0, height: 0 }

type Report = (invariant: Invariant, message: string) => void

/** Looks at each write of the bucket as it happens: I1, I3, I4, I9, I10, I15 and, at a batch's end, I11 and I13. */
export class BucketChecks {
  readonly #batches = new Map<string, WatchedBatch>()
  readonly #bucket: VirtualBucket
  readonly #report: Report
  /** Of all devices, whatever became of it; and of it what batches that have ended were charged. */
  readonly #seconds = { rendered: 0, billed: 0 }

  constructor(bucket: VirtualBucket, report: Report) {
    this.#bucket = bucket
    this.#report = report
    bucket.onWrite = (key, body, before) => this.#written(key, body, before)
  }

  accepted(batchId: string, natures: readonly Nature[]): void {
    this.#batches.set(batchId, {
      natures,
      shardOf: new Map(),
      sizes: new Map(),
      records: new Map(),
      images: new Set(),
      ledger: new Map(),
      states: { rendered: 0, failed: 0, cancelled: 0 },
      heldFrom: null,
      cancelledItems: [],
      isToCancel: false,
      isCancelled: false,
      done: null,
    })
  }

  asked(batchId: string, approveAfter: number): void {
    this.#batches.get(batchId)!.heldFrom = approveAfter
  }

  cancelAcknowledged(batchId: string): void {
    this.#batches.get(batchId)!.isCancelled = true
  }

  get unfinished(): string[] {
    return [...this.#batches].filter(([, { done }]) => done === null).map(([id]) => id)
  }

  renderBegun(batchId: string, shardId: string): void {
    const batch = this.#batches.get(batchId)!
    if (batch.isCancelled && !batch.records.has(shardId))
      this.#report('I9', `shard ${shardId} of ${batchId} begins after the cancellation was acknowledged`)
    const { heldFrom, shardOf } = batch
    if (heldFrom !== null && shardOf.entries().some(([item, shard]) => shard === shardId && item >= heldFrom))
      this.#report('I15', `shard ${shardId} of ${batchId} begins before anybody said yes`)
  }

  renderEnded(seconds: number): void {
    this.#seconds.rendered += seconds
  }

  /** What a coordinator tells of an open batch: never more than the records say, and just that once it counts it as over. */
  told(batchId: string, items: Readonly<Record<'rendered' | 'failed' | 'cancelled', number>>, isOver: boolean): void {
    const batch = this.#batches.get(batchId)!
    for (const state of ['rendered', 'failed', 'cancelled'] as const) {
      const [told, stored] = [items[state], batch.states[state]]
      if (told > stored)
        this.#report('I1', `${batchId} is said to have ${told} items ${state}; the records have ${stored}`)
      else if (isOver && told !== stored)
        this.#report('I13', `${batchId} is over with ${told} items ${state}; the records have ${stored}`)
    }
  }

  /** Shards of open batches that have no record, and whether items of it are not planned yet. */
  *runnable(): Generator<{ batchId: string; shardId: string | null }> {
    for (const [batchId, { done, isCancelled, sizes, records, shardOf, natures }] of this.#batches) {
      if (done !== null || isCancelled) continue
      for (const shardId of sizes.keys()) if (!records.has(shardId)) yield { batchId, shardId }
      if (shardOf.size < natures.length) yield { batchId, shardId: null }
    }
  }

  #written(key: string, body: string, before: string | null): void {
    if (key.startsWith(keys.ledger)) return this.#booked(JSON.parse(body) as LedgerDocument, key, body, before)
    if (key.startsWith(keys.ledgerWorkers)) return this.#devicesTold(key, body, before)
    const [, batchId = '', folder = ''] = key.split('/')
    const batch = this.#batches.get(batchId)
    if (batch === undefined) return
    if (folder === 'control.json') this.#controlled(batch, JSON.parse(body) as ControlDocument, key)
    if (folder === 'cancel.json') batch.isToCancel = true
    if (folder === 'plan') return this.#planned(batch, JSON.parse(body) as PlanSegment, key, before)
    if (folder === 'results') return this.#committed(batch, JSON.parse(body) as CommitRecord, key, before)
    if (folder === 'done.json') return this.#ended(batch, JSON.parse(body) as DoneDocument, key, before)
  }

  #controlled(batch: WatchedBatch, { isApproved, cancelledItems = [] }: ControlDocument, key: string): void {
    if (isApproved === true) batch.heldFrom = null
    if (withoutRanges(batch.cancelledItems, cancelledItems).length > 0)
      this.#report('I9', `${key} takes a cancellation of items back`)
    batch.cancelledItems = cancelledItems
  }

  #booked(entry: LedgerDocument, key: string, body: string, before: string | null): void {
    if (before !== null && before !== body) this.#report('I11', `${key} was written again and says something else`)
    this.#batches.get(entry.batchId)!.ledger.set(key, entry)
  }

  /** What a device did grows, and fits into the time that it was there. */
  #devicesTold(key: string, body: string, before: string | null): void {
    const told = JSON.parse(body) as WorkerDayDocument
    const { wallSeconds, renderSeconds, loadSeconds } = told
    if (renderSeconds + loadSeconds > wallSeconds + ROUNDING)
      this.#report('I11', `${key} is more than there was: ${body}`)
    const earlier = before === null ? null : (JSON.parse(before) as WorkerDayDocument)
    if (earlier !== null && (earlier.renderSeconds > renderSeconds || earlier.loadSeconds > loadSeconds))
      this.#report('I11', `${key} was ${before} and says less`)
  }

  #planned(batch: WatchedBatch, { segment, shards }: PlanSegment, key: string, before: string | null): void {
    if (before !== null) return this.#report('I4', `${key} was written twice`)
    if (batch.done !== null) this.#report('I9', `${key} was planned after the batch had ended`)
    for (const { id, items } of shards) {
      batch.sizes.set(id, items.length)
      for (const item of items) {
        if (batch.shardOf.has(item)) this.#report('I1', `item ${item} is in two shards of ${key}, segment ${segment}`)
        batch.shardOf.set(item, id)
      }
    }
  }

  #committed(batch: WatchedBatch, record: CommitRecord, key: string, before: string | null): void {
    if (before !== null) return this.#report('I4', `${key} was written twice`)
    batch.records.set(record.shardId, record)
    if (record.kind === 'rendered') for (const { state } of record.items) batch.states[state]++
    else if (record.kind !== 'split') batch.states[record.kind] += batch.sizes.get(record.shardId) ?? 0
    else this.#split(batch, record, key)
    if (batch.done !== null) return this.#report('I9', `${key} was committed after the batch had ended`)
    if (batch.isCancelled) this.#report('I9', `${key} was committed after the cancellation was acknowledged`)
    if (record.kind === 'failed') this.#failed(batch, record, key)
    if (record.kind === 'cancelled' && !batch.isToCancel) {
      const items = batch.shardOf.entries().filter(([, shard]) => shard === record.shardId)
      for (const [item] of items) this.#cancelled(batch, item, key)
    }
    if (record.kind !== 'rendered') return
    for (const item of record.items) {
      if (batch.shardOf.get(item.index) !== record.shardId)
        this.#report('I1', `${key} ends item ${item.index}, which is not planned in it`)
      if (item.state === 'cancelled') this.#cancelled(batch, item.index, key)
      if (item.state === 'failed' && batch.natures[item.index] !== 'fails')
        this.#report('I6', `${key} fails the sound item ${item.index}`)
      if (item.state !== 'rendered') continue
      for (const { n, name } of item.images) {
        if (batch.images.has(`${item.index}/${n}`)) this.#report('I3', `image ${n} of item ${item.index} twice, ${key}`)
        batch.images.add(`${item.index}/${n}`)
        if (!name.startsWith(`${item.index}-${n}-`)) this.#report('I10', `${key} names ${name} for item ${item.index}`)
      }
    }
  }

  #cancelled({ cancelledItems }: WatchedBatch, item: number, key: string): void {
    if (!includesItem(cancelledItems, item)) this.#report('I6', `${key} cancels item ${item}, which nobody asked for`)
  }

  /** From now on its items have their places in its halves. */
  #split(batch: WatchedBatch, { shardId, into }: Extract<CommitRecord, { kind: 'split' }>, key: string): void {
    const items = batch.shardOf.entries().filter(([, shard]) => shard === shardId)
    const whole = { ...NO_SHARD, id: shardId, items: [...items].map(([item]) => item) }
    if (whole.items.length < 2) return this.#report('I6', `${key} splits ${whole.items.length} items`)
    const halves = halvesOf(whole)
    if (halves.map(({ id }) => id).join() !== into.join()) this.#report('I4', `${key} splits into ${into.join(', ')}`)
    batch.sizes.delete(shardId)
    for (const { id, items: ofHalf } of halves) {
      batch.sizes.set(id, ofHalf.length)
      for (const item of ofHalf) batch.shardOf.set(item, id)
    }
  }

  /** A sound item fails only with attempts that the farm's faults have used up, and never with the company of a poisonous one. */
  #failed(batch: WatchedBatch, { attempt, shardId }: CommitRecord, key: string): void {
    const items = batch.shardOf
      .entries()
      .filter(([, shard]) => shard === shardId)
      .toArray()
    const poisonous = items.filter(([item]) => batch.natures[item] === 'kills' || batch.natures[item] === 'refused')
    if (poisonous.length === items.length) return
    if (poisonous.length > 0) this.#report('I6', `${key} fails sound items beside poisonous ones`)
    else if (attempt < 5) this.#report('I6', `${key} fails without poison, at attempt ${attempt}`)
  }

  #ended(batch: WatchedBatch, done: DoneDocument, key: string, before: string | null): void {
    if (before !== null) return this.#report('I4', `${key} was written twice`)
    batch.done = done
    this.#reconciled(batch, key)
    const { states } = batch
    for (const shardId of batch.sizes.keys())
      if (!batch.records.has(shardId)) this.#report('I1', `${key} is written, and shard ${shardId} has no record`)
    const unplanned = batch.natures.length - batch.shardOf.size
    const expected = { ...states, cancelled: states.cancelled + unplanned }
    const sum = expected.rendered + expected.failed + expected.cancelled
    if (sum !== batch.natures.length || (done.state === 'completed' && unplanned > 0))
      this.#report('I1', `${key}: ${JSON.stringify(expected)} of ${batch.natures.length} items, ${unplanned} unplanned`)
    if (JSON.stringify(expected) !== JSON.stringify(done.items))
      this.#report('I13', `${key} says ${JSON.stringify(done.items)}, the records ${JSON.stringify(expected)}`)
    const lines = (file: string): number => this.#bucket.get(file)?.split('\n').filter(Boolean).length ?? -1
    if (lines(done.output.key) !== states.rendered || lines(done.errors.key) !== states.failed + states.cancelled)
      this.#report('I13', `the lines of ${done.output.key} and ${done.errors.key} are not those of the records`)
  }

  /** What is charged is what the records say, each once, and no more than was rendered. */
  #reconciled(batch: WatchedBatch, key: string): void {
    const sum = { seconds: 0, loadSeconds: 0, images: 0, shards: 0 }
    for (const { shards, loadSeconds = 0, schedulers } of [...batch.ledger.values()].flatMap(
      ({ checkpoints }) => checkpoints,
    )) {
      sum.shards += shards
      sum.loadSeconds += loadSeconds
      for (const { seconds, images } of schedulers) {
        sum.seconds += seconds
        sum.images += images
      }
    }
    const records = [...batch.records.values()]
    const rendered = records.filter((record) => record.kind === 'rendered')
    const seconds = rendered.reduce((all, record) => all + record.deviceSeconds, 0)
    const loadSeconds = rendered.reduce((all, record) => all + (record.loadSeconds ?? 0), 0)
    const shards = records.filter(({ kind }) => kind !== 'split').length
    const isOff = Math.abs(sum.seconds - seconds) > ROUNDING || Math.abs(sum.loadSeconds - loadSeconds) > ROUNDING
    if (isOff || sum.images !== batch.images.size || sum.shards !== shards)
      this.#report(
        'I11',
        `${key}: the ledger has ${JSON.stringify(sum)}, the records ${seconds} seconds, ${loadSeconds} of loads, ${shards} shards`,
      )
    const all = this.#seconds
    all.billed += sum.seconds
    if (all.billed > all.rendered + ROUNDING)
      this.#report('I11', `${key}: ${all.billed} seconds are charged in all, ${all.rendered} were rendered`)
  }
}
