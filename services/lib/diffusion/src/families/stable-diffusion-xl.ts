import type { ImageRequest } from '../pipelines/image-request.ts'
import type { ModelSpec } from '../pipelines/model-spec.ts'
import type { Family, Tensor, Tensors } from './family.ts'
import { guidanceEmbedding } from './guidance-embedding.ts'
import { stableDiffusion } from './stable-diffusion.ts'
import { concatenateWidths, hiddenStates, zerosLike } from './text-tensors.ts'

/**
 * Stable Diffusion XL and its refiner: two text encoders (the refiner has the second alone), a pooled text, and numbers
 * about size, crop and beauty.
 *
 * Podell et al. 2023 (arXiv:2307.01952); diffusers `pipeline_stable_diffusion_xl.py` and its neighbours.
 */
export const stableDiffusionXl: Family = {
  ...stableDiffusion,
  defaults: {
    'text-to-image': { numInferenceSteps: 50, guidanceScale: 5, strength: 1 },
    'image-to-image': { numInferenceSteps: 50, guidanceScale: 5, strength: 0.3 },
    inpainting: { numInferenceSteps: 50, guidanceScale: 7.5, strength: 0.9999 },
  },
  rescalesGuidance: () => true,
  condition(spec, request, prompt, negative) {
    const guidance = guidanceEmbedding(spec, request.guidanceScale)
    const conditional = { ...textInputs(prompt), time_ids: timeIds(spec, request, false), ...guidance }
    if (!stableDiffusionXl.isGuided(spec, request)) return { rows: [conditional], shared: {} }
    const texts = negative === null ? zeroed(textInputs(prompt)) : textInputs(negative)
    return { rows: [{ ...texts, time_ids: timeIds(spec, request, true), ...guidance }, conditional], shared: {} }
  },
}

function textInputs(encoders: readonly (Tensors | null)[]): Tensors {
  const present = encoders.filter((one) => one !== null)
  return {
    encoder_hidden_states: concatenateWidths(present.map(hiddenStates)),
    text_embeds: present.at(-1)!['text_embeds']!,
  }
}

function zeroed(tensors: Tensors): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, zerosLike(tensor)]))
}

/** diffusers `_get_add_time_ids`. */
function timeIds(spec: ModelSpec, request: ImageRequest, isNegative: boolean): Tensor {
  const size = [request.height, request.width] as const
  const { originalSize = size, cropsCoordsTopLeft = [0, 0], targetSize = size } = request
  const { aestheticScore = 6, negativeAestheticScore = 2.5 } = request
  const last = spec.requiresAestheticsScore ? [isNegative ? negativeAestheticScore : aestheticScore] : targetSize
  // What a refiner draws away from is not cropped; upstream says so for refiners alone.
  const crops = isNegative && spec.requiresAestheticsScore ? [0, 0] : cropsCoordsTopLeft
  const data = Float32Array.from([...originalSize, ...crops, ...last])
  return { data, dims: [data.length] }
}
