import { linspaceF32 } from './betas.ts'
import { choiceKey, integerKey, numberKey } from './config.ts'
import type { ConfigKeys } from './config.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { scale, weightedSum } from './vector-steps.ts'

/** Keys of models that are trained as Karras et al. 2022 (arXiv:2206.00364) propose. */
export interface EdmConfig {
  sigma_min: number
  sigma_max: number
  sigma_data: number
  sigma_schedule: 'karras' | 'exponential'
  num_train_timesteps: number
  prediction_type: 'epsilon' | 'v_prediction'
  rho: number
  final_sigmas_type: 'zero' | 'sigma_min'
}

export const edmKeys: ConfigKeys<EdmConfig> = {
  sigma_min: numberKey(0.002, { min: 0 }),
  sigma_max: numberKey(80, { min: 0 }),
  sigma_data: numberKey(0.5, { min: 0 }),
  sigma_schedule: choiceKey<'karras' | 'exponential'>('karras', ['karras', 'exponential']),
  num_train_timesteps: integerKey(1000, { min: 1, max: 1_000_000 }),
  prediction_type: choiceKey('epsilon', ['epsilon', 'v_prediction']),
  rho: numberKey(7),
  final_sigmas_type: choiceKey('zero', ['zero', 'sigma_min']),
}

const { exp, fround, log } = Math

/** Levels from high to low in float32, at positions of a ramp from 0 to 1. Eq. 5. */
export function edmSigmas(config: EdmConfig, ramp: ArrayLike<number>, isDouble: boolean): Float32Array {
  const { sigma_min: min, sigma_max: max, rho } = config
  if (config.sigma_schedule === 'exponential') {
    return linspaceF32(log(min), log(max), ramp.length).map(exp).toReversed()
  }
  const [low, high] = [min ** (1 / rho), max ** (1 / rho)]
  const round = isDouble ? (x: number): number => x : fround
  return Float32Array.from(ramp, (x) => round(round(high) + round(x * round(low - high))) ** rho)
}

/** What the model is told of a level: log(sigma) / 4. */
export function edmTimesteps(sigmas: Float32Array): number[] {
  return Array.from(sigmas, (sigma) => fround(0.25 * fround(log(sigma))))
}

/** Writes the sample as the model sees it. */
export function preconditionInput(sample: Float32Array, sigma: number, sigmaData: number, out: Float32Array): void {
  scale(fround(1 / torchSqrt(fround(fround(sigma * sigma) + sigmaData ** 2))), sample, out)
}

/** Writes x_0 of a model's output. Table 1, column "Ours". */
export function preconditionOutput(
  config: EdmConfig,
  sigma: number,
  modelOutput: Float32Array,
  sample: Float32Array,
  out: Float32Array,
): void {
  const { sigma_data: data, prediction_type: type } = config
  const variance = fround(fround(sigma * sigma) + data ** 2)
  const skip = fround(data ** 2 / variance)
  const share = fround(fround(sigma * data) / torchSqrt(variance))
  weightedSum(skip, sample, type === 'epsilon' ? share : -share, modelOutput, out)
}
