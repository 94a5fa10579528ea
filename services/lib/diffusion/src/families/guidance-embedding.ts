import type { ModelSpec } from '../pipelines/model-spec.ts'
import type { Tensors } from './family.ts'

/**
 * The guidance scale as an input of a distilled UNet: sines and cosines of (scale - 1) · 1000.
 * diffusers `get_guidance_scale_embedding`; Meng et al. 2022 (arXiv:2210.03142).
 */
export function guidanceEmbedding({ timeCondProjDim }: ModelSpec, guidanceScale: number): Tensors {
  if (timeCondProjDim === null) return {}
  const { fround } = Math
  const w = fround(fround(guidanceScale - 1) * 1000)
  const half = Math.floor(timeCondProjDim / 2)
  const rate = fround(Math.log(10000) / (half - 1))
  const data = new Float32Array(timeCondProjDim)
  for (let i = 0; i < half; i++) {
    const angle = fround(w * fround(Math.exp(fround(i * -rate))))
    data[i] = Math.sin(angle)
    data[half + i] = Math.cos(angle)
  }
  return { timestep_cond: { data, dims: [timeCondProjDim] } }
}
