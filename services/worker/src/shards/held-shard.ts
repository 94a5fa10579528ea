import type { ShardDelivery } from '@darkroom/chassis'
import { includesItem, joinRanges, rangesOfMessages } from '@darkroom/proto'
import type { Item, ItemRange, ItemRanges, ShardAssignment } from '@darkroom/proto'
import type { RenderState, Tick } from '../engine/messages.ts'
import { placeOf, stepsBehind } from './shard-progress.ts'
import type { FinishedImage } from './item-result.ts'
import type { ImagePlace, ShardProgress } from './shard-progress.ts'

/** Why a shard in hand was given up. */
export type GivenUp = 'cancelled' | 'leaving'

/** One shard in this worker's hands, and how far it is. */
export class HeldShard implements ShardProgress {
  readonly assignment: ShardAssignment
  readonly delivery: ShardDelivery
  /** Its commit record is in the bucket: what is left is to tell. */
  hasRecord = false
  /** Something lies under its progress key. */
  hasProgress = false
  readonly finished = new Map<ImagePlace, FinishedImage>()
  /** As of when it was last looked at; also of images that are finished by now. */
  readonly begun = new Map<ImagePlace, RenderState>()
  /** Of each image that is wanted. */
  readonly #steps: Map<ImagePlace, number>
  readonly #jobs = new Map<number, ImagePlace>()
  /** Steps that earlier attempts did, and those that were done here, of each image. */
  readonly #stepsBefore = new Map<ImagePlace, number>()
  readonly #stepsHere = new Map<ImagePlace, number>()
  readonly #storing = new Set<Promise<unknown>>()
  readonly #stopRender = new AbortController()
  readonly #giveUp = new AbortController()
  readonly #stopItem = new Map<number, AbortController>()
  #cancelledItems: ItemRanges = []
  /** Of all images here, also of those that are wanted no more: what its rate is measured by. */
  #allStepsHere = 0
  #runsSinceMs: number | null = null
  #givenUp: GivenUp | null = null
  #left: Promise<void> = Promise.resolve()

  constructor(delivery: ShardDelivery) {
    this.delivery = delivery
    this.assignment = delivery.assignment
    this.#steps = new Map(this.assignment.items.flatMap(stepsOfImages))
    this.cancelItems(this.assignment.cancelledItems)
  }

  /** Aborts when the shard is given up. */
  get signal(): AbortSignal {
    return this.#giveUp.signal
  }

  /** Aborts when nothing of it is to be rendered any more; what is rendered may still be stored. */
  get renderSignal(): AbortSignal {
    return this.#stopRender.signal
  }

  /** Aborts when nothing of an item is to be rendered any more. */
  itemSignal(index: number): AbortSignal {
    let stop = this.#stopItem.get(index)
    if (stop === undefined) this.#stopItem.set(index, (stop = new AbortController()))
    if (this.isCancelled(index)) stop.abort()
    return AbortSignal.any([this.renderSignal, stop.signal])
  }

  isCancelled(index: number): boolean {
    return includesItem(this.#cancelledItems, index)
  }

  get givenUp(): GivenUp | null {
    return this.#givenUp
  }

  /** Denoising steps of its images. */
  get stepsTotal(): number {
    return this.#steps.values().reduce((sum, steps) => sum + steps, 0)
  }

  /** Some schedulers call the model more often than once a step. */
  get stepsDone(): number {
    return Math.min(this.stepsResumed + this.#sumOf(this.#stepsHere), this.stepsTotal)
  }

  /** Of those, the ones that earlier attempts did. */
  get stepsResumed(): number {
    return this.#sumOf(this.#stepsBefore)
  }

  /** Since when it runs here, by the clock of `ticked`; null while no UNet call has seen it. */
  get runsSinceMs(): number | null {
    return this.#runsSinceMs
  }

  /** Images that no UNet call has seen yet. */
  get imagesToStart(): number {
    return this.#steps.keys().reduce((sum, place) => sum + Number(!this.#hasBegun(place)), 0)
  }

  get jobs(): readonly number[] {
    return [...this.#jobs.keys()]
  }

  /** Resolves when it was left; at once where nobody leaves it. */
  get left(): Promise<void> {
    return this.#left
  }

  /** Resolves when the pictures that are rendered are stored, or cannot be. */
  async stored(): Promise<void> {
    await Promise.allSettled(this.#storing)
  }

  giveUp(why: GivenUp): void {
    this.#givenUp ??= why
    this.#stopRender.abort()
    this.#giveUp.abort()
  }

  /** Renders these no further; an item that has all its images stays rendered. */
  cancelItems(items: readonly ItemRange[]): void {
    this.#cancelledItems = joinRanges(this.#cancelledItems, rangesOfMessages(items))
    for (const item of this.assignment.items) {
      if (!this.isCancelled(item.index)) continue
      for (const [place] of stepsOfImages(item)) this.#steps.delete(place)
      this.#stopItem.get(item.index)?.abort()
    }
  }

  /** Is given up for another worker once its progress is saved. */
  leave(saved: Promise<void>): void {
    this.#givenUp ??= 'leaving'
    this.#left = saved.finally(() => this.giveUp('leaving'))
  }

  stopRendering(): void {
    this.#stopRender.abort()
  }

  /** Takes over what earlier attempts did. */
  resume({ finished, begun }: ShardProgress): void {
    for (const [place, image] of finished) this.finished.set(place, image)
    for (const [place, state] of begun) if (!finished.has(place)) this.begun.set(place, state)
    for (const [place, steps] of this.#steps) {
      const state = this.begun.get(place)
      const before = finished.has(place) ? steps : Math.min(steps, state === undefined ? 0 : stepsBehind(state))
      this.#stepsBefore.set(place, before)
    }
  }

  addJob(job: number, place: ImagePlace): void {
    this.#jobs.set(job, place)
  }

  /** States of its jobs as the engine tells them. */
  look(states: ReadonlyMap<number, RenderState>): void {
    for (const [job, state] of states) this.begun.set(this.#jobs.get(job)!, state)
  }

  /** A picture on its way to the store; once there, it need not be rendered again. */
  async store(place: ImagePlace, storing: Promise<FinishedImage>): Promise<FinishedImage> {
    this.#storing.add(storing)
    try {
      const image = await storing
      this.finished.set(place, image)
      return image
    } finally {
      this.#storing.delete(storing)
    }
  }

  /** @param nowMs when the call had ended */
  ticked(tick: Tick, nowMs: number): void {
    for (const job of tick.jobs) {
      if (!this.#jobs.has(job)) continue
      this.#runsSinceMs ??= nowMs - 1000 * tick.seconds
      const place = this.#jobs.get(job)!
      this.#stepsHere.set(place, (this.#stepsHere.get(place) ?? 0) + 1)
      this.#allStepsHere++
    }
  }

  #hasBegun(place: ImagePlace): boolean {
    return this.#stepsHere.has(place) || this.finished.has(place)
  }

  /** Over the images that are wanted. */
  #sumOf(steps: ReadonlyMap<ImagePlace, number>): number {
    return this.#steps.keys().reduce((sum, place) => sum + (steps.get(place) ?? 0), 0)
  }

  /** Until its end at the rate that it had here; Infinity while it has none. */
  secondsLeft(nowMs: number): number {
    if (this.#runsSinceMs === null) return Infinity
    const perStep = (nowMs - this.#runsSinceMs) / 1000 / this.#allStepsHere
    return perStep * (this.stepsTotal - this.stepsDone)
  }
}

function stepsOfImages(item: Item): [ImagePlace, number][] {
  const steps = stepsOf(item)
  return Array.from({ length: item.numImages }, (_, n) => [placeOf(item.index, n), steps])
}

/** Steps of one image, of the caller's own schedule where there is one. */
export function stepsOf({ timesteps, sigmas, numInferenceSteps }: Item): number {
  return timesteps.length || sigmas.length || numInferenceSteps
}
