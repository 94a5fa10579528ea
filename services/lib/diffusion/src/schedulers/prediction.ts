/** Keys that bound the predicted original sample. */
export interface ClipConfig {
  clip_sample: boolean
  clip_sample_range: number
  thresholding: boolean
  dynamic_thresholding_ratio: number
  sample_max_value: number
}

/** Linear-interpolated quantile of |values|, as torch.quantile. */
function absQuantile(values: Float32Array, q: number): number {
  const sorted = values.map(Math.abs).sort()
  const position = q * (sorted.length - 1)
  const low = Math.floor(position)
  const high = Math.min(low + 1, sorted.length - 1)
  return Math.fround(sorted[low]! + (sorted[high]! - sorted[low]!) * (position - low))
}

/**
 * Bounds a predicted original sample in place: dynamic thresholding (Saharia et al. 2022, arXiv:2205.11487, section 2.3)
 * takes precedence over clipping.
 */
export function boundOriginalSample(sample: Float32Array, config: ClipConfig): void {
  if (config.thresholding) {
    const s = Math.min(Math.max(absQuantile(sample, config.dynamic_thresholding_ratio), 1), config.sample_max_value)
    for (let j = 0; j < sample.length; j++) sample[j] = Math.min(Math.max(sample[j]!, -s), s) / s
  } else if (config.clip_sample) {
    const range = config.clip_sample_range
    for (let j = 0; j < sample.length; j++) sample[j] = Math.min(Math.max(sample[j]!, -range), range)
  }
}
