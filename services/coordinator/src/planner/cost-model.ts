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
/** News count at least so much, however many there were before: devices and versions change. */
const LEAST_GAIN = 0.1

interface Fit {
  /** Of the logarithm of seconds a unit. */
  mean: number
  /** Mean absolute deviation from it. */
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
      if (fit === undefined) this.#fits.set(key, { mean: news, spread: FIRST_SPREAD, count: 1 })
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

/** From what is nearest to what all have in common. */
function keysOf({ checkpoint, deviceKind }: Place, scheduler: string): string[] {
  const ofCheckpoint = [`${checkpoint} ${scheduler}`, checkpoint]
  if (deviceKind === null) return [...ofCheckpoint, '']
  const here = [`${checkpoint} ${deviceKind} ${scheduler}`, `${checkpoint} ${deviceKind}`]
  return [...here, ...ofCheckpoint, ` ${deviceKind}`, '']
}

function improve(fit: Fit, news: number): void {
  const gain = Math.max(1 / (fit.count + 1), LEAST_GAIN)
  const limit = OUTLIER * fit.spread
  const error = news - fit.mean
  fit.mean += gain * Math.min(Math.max(error, -limit), limit)
  fit.spread += gain * (Math.min(Math.abs(error), OUTLIER * limit) - fit.spread)
  fit.spread = Math.max(fit.spread, LEAST_SPREAD)
  fit.count++
}
