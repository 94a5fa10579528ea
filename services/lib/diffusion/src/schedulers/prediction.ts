import { elementwise } from '../kernels/elementwise.ts'
import { max, min, round, rounded } from '../kernels/expression.ts'
import { divide, roundedSum, subtractScaled } from './vector-steps.ts'

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

const minusScaledOver = elementwise(([b, divisor], [x, y]) =>
  rounded.div(rounded.sub(x!, rounded.mul(b!, y!)), divisor!),
)
const within = elementwise(([low, high], [x]) => min(round(max(x!, low!)), high!))

/**
 * Writes the predicted original sample x_0 to `out`, each operation rounded to float32 as torch rounds it: steps from large
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
  switch (type) {
    case 'epsilon':
      minusScaledOver([sigma, alpha], [x, m], out)
      break
    case 'sample':
      out.set(m.subarray(0, out.length))
      break
    case 'v_prediction':
      roundedSum(alpha, x, -sigma, m, out)
      break
    case 'flow_prediction':
      subtractScaled(x, sigma, m, out)
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
  switch (type) {
    case 'epsilon':
      out.set(m.subarray(0, out.length))
      break
    case 'sample':
      minusScaledOver([alpha, sigma], [x, m], out)
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
  divide(sample, s, sample)
}

/** Bounds a predicted original sample in place; thresholding takes precedence over clipping. */
export function boundOriginal(sample: Float32Array, config: ClipConfig): void {
  if (config.thresholding) {
    thresholdOriginal(sample, config)
  } else if (config.clip_sample) {
    clamp(sample, config.clip_sample_range)
  }
}

/** Bounds a sample to -range … range in place; NaN stays. */
export function clamp(sample: Float32Array, range: number): void {
  within([-range, range].map(fround), [sample], sample)
}
