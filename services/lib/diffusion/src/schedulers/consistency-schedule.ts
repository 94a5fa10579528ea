import type { PlanRequest } from './scheduler.ts'
import { trainedStepsOf } from './scheduler.ts'

interface ConsistencyConfig {
  readonly num_train_timesteps: number
  readonly original_inference_steps: number
}

export interface ConsistencySchedule {
  readonly timesteps: readonly number[]
  /** Steps that were asked for, of which strength may have cut some off: the last of these takes no noise. */
  readonly numInferenceSteps: number
}

/**
 * Steps out of the schedule that a consistency model was distilled on. diffusers `LCMScheduler.set_timesteps` and
 * `TCDScheduler.set_timesteps`.
 * @param distilled the distilled timesteps, ascending, of which as many as strength says are left
 * @throws RangeError
 */
export function consistencySchedule(
  config: ConsistencyConfig,
  request: PlanRequest,
  distilled: (originalSteps: number, strength: number) => readonly number[],
  name: string,
): ConsistencySchedule {
  const { strength = 1, originalInferenceSteps: original = config.original_inference_steps } = request
  const train = config.num_train_timesteps
  if (!Number.isInteger(original) || original < 1 || original > train) {
    throw new RangeError(
      `originalInferenceSteps is ${original}; want an integer from 1 to ${train} (num_train_timesteps), which the model was trained on.`,
    )
  }
  if (!(strength > 0 && strength <= 1)) {
    throw new RangeError(`strength is ${strength}; want a number above 0, up to 1.`)
  }
  if ('timesteps' in request) return custom(request.timesteps, strength, train)
  const steps = trainedStepsOf(request, train, name)
  const known = distilled(original, strength)
  const most = Math.min(known.length, original)
  if (steps > most) {
    throw new RangeError(
      `numInferenceSteps is ${steps}; want at most ${most}, the distilled steps (originalInferenceSteps · strength).`,
    )
  }
  const descending = known.toReversed()
  const stride = descending.length / steps
  return {
    timesteps: Array.from({ length: steps }, (_, i) => descending[Math.floor(i * stride)]!),
    numInferenceSteps: steps,
  }
}

function custom(timesteps: readonly number[], strength: number, train: number): ConsistencySchedule {
  const isFine = timesteps.every(
    (t, i) => Number.isInteger(t) && t >= 0 && t < train && (i === 0 || t < timesteps[i - 1]!),
  )
  if (!isFine || timesteps.length === 0) {
    throw new RangeError(`timesteps is [${timesteps.join(', ')}]; want descending integers from 0 to ${train - 1}.`)
  }
  const count = timesteps.length
  const kept = Math.trunc(count * strength)
  if (kept === 0) {
    throw new RangeError(
      `strength is ${strength}; want at least ${1 / count}, which leaves one of the ${count} timesteps.`,
    )
  }
  return { timesteps: timesteps.slice(count - kept), numInferenceSteps: count }
}
