import { Limit } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { keys, withoutRanges } from '@darkroom/proto'
import type { ControlDocument } from '@darkroom/proto'
import type { Clock } from './clock.ts'
import { waitsForSomebody } from './core/hold-back.ts'
import type { BatchChange } from './core/messages.ts'
import type { FarmState, OpenBatch } from './core/state.ts'

interface ControlsOptions {
  readonly store: ObjectStore
  readonly clock: Clock
  readonly state: FarmState
  readonly handle: (event: BatchChange) => void
}

/** Batches that are looked at each time. */
const REFRESHED_AT_ONCE = 32

/**
 * What people have changed of open batches: control.json is the truth, the core follows it. One change at a time, since each is of
 * what the one before has stored.
 */
export class Controls {
  readonly #options: ControlsOptions
  readonly #oneAtATime = new Limit(1)
  /** Where the last look ended. */
  #lastId = ''

  constructor(options: ControlsOptions) {
    this.#options = options
  }

  /** Stores what the edit makes of a batch's document, so that it survives a restart, and follows it. Does nothing where the edit throws. */
  change(batchId: string, edit: (stored: ControlDocument) => ControlDocument): Promise<void> {
    const { store, clock } = this.#options
    return this.#oneAtATime.run(async () => {
      const control = await store.editJson<ControlDocument>(keys.control(batchId), (stored) => {
        if (stored !== null) this.#take(stored)
        const updatedAt = clock.date().toISOString()
        return { ...edit(stored ?? { batchId, priority: 0, isPaused: false, updatedAt }), updatedAt }
      })
      this.#take(control)
    })
  }

  /**
   * Looks at the documents of batches that wait for somebody, and of some others in turn: what was asked of another coordinator,
   * which believed for a moment that it led, is found here.
   */
  async refresh(): Promise<void> {
    const ids = [...this.#options.state.batches.keys()].toSorted()
    const next = ids.findIndex((id) => id > this.#lastId)
    const inTurn = (next === -1 ? ids : [...ids.slice(next), ...ids.slice(0, next)]).slice(0, REFRESHED_AT_ONCE)
    this.#lastId = inTurn.at(-1) ?? ''
    // Those that wait for somebody's word first, each time.
    const waiting = ids.filter((id) => waitsForSomebody(this.#options.state.batches.get(id)!))
    for (const batchId of new Set([...waiting, ...inTurn])) await this.#oneAtATime.run(() => this.#follow(batchId))
  }

  async #follow(batchId: string): Promise<void> {
    const control = await this.#options.store.getJson<ControlDocument>(keys.control(batchId))
    if (control !== null) this.#take(control)
  }

  #take(control: ControlDocument): void {
    const batch = this.#options.state.batches.get(control.batchId)
    if (batch !== undefined) for (const event of changesOf(batch, control)) this.#options.handle(event)
  }
}

/** What brings a batch to what its document says. */
function changesOf(batch: OpenBatch, control: ControlDocument): BatchChange[] {
  const { id: batchId } = batch
  const { priority, isPaused, isApproved = false, completeBy, pausedItems = [], cancelledItems = [] } = control
  const completeByMs = completeBy === undefined ? batch.completeByMs : Date.parse(completeBy)
  const cancelled = withoutRanges(cancelledItems, batch.cancelledItems)
  const paused = withoutRanges(pausedItems, batch.pausedItems)
  const resumed = withoutRanges(batch.pausedItems, pausedItems)
  const events: BatchChange[] = []
  if (priority !== batch.priority) events.push({ type: 'batchPriorityChanged', batchId, priority })
  if (completeByMs !== null && completeByMs !== batch.completeByMs)
    events.push({ type: 'batchDeadlineChanged', batchId, completeByMs })
  if (isPaused !== batch.isPaused) events.push({ type: isPaused ? 'batchPaused' : 'batchResumed', batchId })
  if (isApproved && !batch.isApproved) events.push({ type: 'batchApproved', batchId })
  if (cancelled.length > 0) events.push({ type: 'itemsCancelled', batchId, items: cancelled })
  if (paused.length > 0) events.push({ type: 'itemsPaused', batchId, items: paused })
  if (resumed.length > 0) events.push({ type: 'itemsResumed', batchId, items: resumed })
  return events
}
