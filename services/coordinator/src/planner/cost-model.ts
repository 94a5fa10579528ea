import { isSchedulerName, isTaskName, schedulerFromConfig, TASKS } from '@darkroom/diffusion'
import type { ItemLine } from '@darkroom/proto'

/** Units of work by scheduler: denoiser rows × pixels. */
export type Work = Readonly<Record<string, number>>

/** Where work is done, as far as its speed depends on it; a device that is not known yet is null. */
export interface Place {
  readonly checkpoint: string
  readonly deviceKind: string | null
}

/** Device seconds of one unit until something was measured: a small UNet on one CPU core. */
export const FIRST_SECONDS_PER_UNIT = 1.1e-6
const FIRST_GUESS = Math.log(FIRST_SECONDS_PER_UNIT)
/** Logarithms: news that differ by more than twice what they usually differ by count as that. */
const FIRST_SPREAD = 0.5
const LEAST_SPREAD = 0.02
const OUTLIER = 2
/** News count at least so much, however many there were before, */
const LEAST_GAIN = 0.02
/** and so much in what was seen of late, which is believed once so many in a row were on one side: devices and versions change. */
const RECENT_GAIN = 0.1
const LASTING = 12

interface Fit {
  /** Of the logarithm of seconds a unit. */
  mean: number
  /** The same of the last few. */
  recent: number
  /** How many were above the mean one after the other; negative for below. */
  run: number
  /** Mean absolute deviation of one. */
  spread: number
  count: number
}

const evaluationsBy = new Map<string, number>()

/** Model calls for each step of the caller's; those that a scheduler makes besides show in what it is measured to take. */
function evaluationsOf(scheduler: string): number {
  if (!isSchedulerName(scheduler)) return 1
  const known = evaluationsBy.get(scheduler)
  if (known !== undefined) return known
  const chosen = schedulerFromConfig(scheduler, {})
  const evaluations = chosen.scheduler.plan(chosen.config, { numInferenceSteps: 20 }).order
  evaluationsBy.set(scheduler, evaluations)
  return evaluations
}

/** Units of work of an item: steps × model calls a step × rows × pixels, over all its images. */
export function unitsOf(item: ItemLine): number {
  const rows = isTaskName(item.task) ? TASKS[item.task].rows(item) : item.numInferenceSteps
  return rows * evaluationsOf(item.scheduler) * item.width * item.height * item.numImages
}

export function workOf(items: readonly ItemLine[]): Work {
  const work: Record<string, number> = {}
  for (const item of items) work[item.scheduler] = (work[item.scheduler] ?? 0) + unitsOf(item)
  return work
}

/**
 * Learns the device seconds of a unit from what shards really took: for each checkpoint, device and scheduler, and for what
 * these have in common, which is the guess for what was never seen. Robust: averages logarithms and clips outliers, so that a
 * straggler moves it little and a lasting change wins. Size: one number for each combination that was seen.
 */
export class CostModel {
  readonly #fits = new Map<string, Fit>()

  /** Estimate of the device seconds of work. */
  seconds(place: Place, work: Work): number {
    let seconds = 0
    for (const scheduler in work) seconds += work[scheduler]! * Math.exp(this.#rate(place, scheduler))
    return seconds
  }

  /** Whether anything was learned of a checkpoint. */
  hasMeasured(checkpoint: string): boolean {
    return this.#fits.has(checkpoint)
  }

  learn(place: Place, scheduler: string, units: number, deviceSeconds: number): void {
    if (!(units > 0 && deviceSeconds > 0)) return
    const news = Math.log(deviceSeconds / units)
    for (const key of keysOf(place, scheduler)) {
      const fit = this.#fits.get(key)
      if (fit === undefined) this.#fits.set(key, { mean: news, recent: news, run: 0, spread: FIRST_SPREAD, count: 1 })
      else improve(fit, news)
    }
  }

  #rate(place: Place, scheduler: string): number {
    for (const key of keysOf(place, scheduler)) {
      const fit = this.#fits.get(key)
      if (fit !== undefined) return fit.mean
    }
    return FIRST_GUESS
  }
}

/** From what is nearest, which is mostly known, to what all have in common. */
function* keysOf({ checkpoint, deviceKind }: Place, scheduler: string): Generator<string> {
  if (deviceKind !== null) {
    yield `${checkpoint} ${deviceKind} ${scheduler}`
    yield `${checkpoint} ${deviceKind}`
  }
  yield `${checkpoint} ${scheduler}`
  yield checkpoint
  if (deviceKind !== null) yield ` ${deviceKind}`
  yield ''
}

function improve(fit: Fit, news: number): void {
  const limit = OUTLIER * fit.spread
  const clipped = (error: number): number => Math.min(Math.max(error, -limit), limit)
  const gain = 1 / (fit.count + 1)
  const error = news - fit.recent
  fit.recent += Math.max(gain, RECENT_GAIN) * clipped(error)
  fit.spread += Math.max(gain, RECENT_GAIN) * (Math.min(Math.abs(error), OUTLIER * limit) - fit.spread)
  fit.spread = Math.max(fit.spread, LEAST_SPREAD)
  fit.mean += Math.max(gain, LEAST_GAIN) * clipped(news - fit.mean)
  fit.run =
    Math.sign(news - fit.mean) === Math.sign(fit.run) ? fit.run + Math.sign(fit.run) : Math.sign(news - fit.mean)
  if (Math.abs(fit.run) >= LASTING) fit.mean = fit.recent
  fit.count++
}
