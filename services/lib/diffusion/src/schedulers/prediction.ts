import { roundedSum } from './vector-steps.ts'

const { fround } = Math

/** What a model was trained to predict, in x = alpha x_0 + sigma noise. */
export type PredictionType = 'epsilon' | 'sample' | 'v_prediction' | 'flow_prediction'

/** Keys that bound the predicted original sample. */
export interface ThresholdConfig {
  thresholding: boolean
  dynamic_thresholding_ratio: number
  sample_max_value: number
}

export interface ClipConfig extends ThresholdConfig {
  clip_sample: boolean
  clip_sample_range: number
}

/**
 * Writes the predicted original sample x_0 to `out`, each operation rounded to float32 by its store, as torch rounds it: steps from large
 * sigmas cancel most of their digits, and then the roundings are what remains. v: Salimans and Ho 2022 (arXiv:2202.00512), appendix D.
 * @param m the model's output, whose first `out.length` values count: learned variances come after them
 */
export function predictOriginal(
  type: PredictionType,
  alpha: number,
  sigma: number,
  m: Float32Array,
  x: Float32Array,
  out: Float32Array,
): void {
  const size = out.length
  switch (type) {
    case 'epsilon':
      for (let j = 0; j < size; j++) {
        out[j] = sigma * m[j]!
        out[j] = x[j]! - out[j]!
        out[j] = out[j]! / alpha
      }
      break
    case 'sample':
      for (let j = 0; j < size; j++) out[j] = m[j]!
      break
    case 'v_prediction':
      roundedSum(alpha, x, -sigma, m, out)
      break
    case 'flow_prediction':
      for (let j = 0; j < size; j++) {
        out[j] = sigma * m[j]!
        out[j] = x[j]! - out[j]!
      }
      break
  }
}

/** Writes the predicted noise to `out`; parameters as `predictOriginal`. */
export function predictNoise(
  type: Exclude<PredictionType, 'flow_prediction'>,
  alpha: number,
  sigma: number,
  m: Float32Array,
  x: Float32Array,
  out: Float32Array,
): void {
  const size = out.length
  switch (type) {
    case 'epsilon':
      for (let j = 0; j < size; j++) out[j] = m[j]!
      break
    case 'sample':
      for (let j = 0; j < size; j++) {
        out[j] = alpha * m[j]!
        out[j] = x[j]! - out[j]!
        out[j] = out[j]! / sigma
      }
      break
    case 'v_prediction':
      roundedSum(alpha, m, sigma, x, out)
      break
  }
}

/** Linear-interpolated quantile of |values|, as torch.quantile. */
function absQuantile(values: Float32Array, q: number): number {
  const sorted = values.map(Math.abs).sort()
  const position = q * (sorted.length - 1)
  const low = Math.floor(position)
  const high = Math.min(low + 1, sorted.length - 1)
  return fround(sorted[low]! + (sorted[high]! - sorted[low]!) * (position - low))
}

/** Dynamic thresholding in place: Saharia et al. 2022 (arXiv:2205.11487), section 2.3; diffusers `_threshold_sample`. */
export function thresholdOriginal(sample: Float32Array, config: ThresholdConfig): void {
  const s = Math.min(Math.max(absQuantile(sample, config.dynamic_thresholding_ratio), 1), config.sample_max_value)
  clamp(sample, s)
  for (let j = 0; j < sample.length; j++) sample[j] = sample[j]! / s
}

/** Bounds a predicted original sample in place; thresholding takes precedence over clipping. */
export function boundOriginal(sample: Float32Array, config: ClipConfig): void {
  if (config.thresholding) {
    thresholdOriginal(sample, config)
  } else if (config.clip_sample) {
    clamp(sample, config.clip_sample_range)
  }
}

const bound = new Float32Array(1)
const boundBits = new Int32Array(bound.buffer)
const MAGNITUDE = 0x7fffffff
const INFINITY_BITS = 0x7f800000

/**
 * Bounds a sample to -range … range in place; NaN stays. Magnitudes compare as the integers that their bits are: which values are
 * out of bounds cannot be guessed, so that with a branch, or Math.min, this takes five times as long.
 */
export function clamp(sample: Float32Array, range: number): void {
  bound[0] = range
  const most = boundBits[0]!
  const words = new Int32Array(sample.buffer, sample.byteOffset, sample.length)
  const size = words.length
  for (let j = 0; j < size; j++) {
    const word = words[j]!
    const magnitude = word & MAGNITUDE
    const spare = most - magnitude
    const isOver = (spare >> 31) & ~((INFINITY_BITS - magnitude) >> 31)
    words[j] = (word & ~MAGNITUDE) | (magnitude + (spare & isOver))
  }
}
