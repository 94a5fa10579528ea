import type { ImageRequest } from '../pipelines/image-request.ts'
import type { ModelSpec } from '../pipelines/model-spec.ts'
import type { Family, Tensors } from './family.ts'
import { dynamicShift, requestedSchedule, skippedByFraction } from './schedule.ts'
import { stableDiffusion } from './stable-diffusion.ts'
import { concatenateTokens, concatenateWidths, hiddenStates, padWidth } from './text-tensors.ts'

const DEFAULT_SD3_TOKENS = 256

/**
 * Stable Diffusion 3: a transformer on latents of a flow, with two CLIP encoders and an optional T5.
 *
 * Esser et al. 2024 (arXiv:2403.03206); diffusers `pipeline_stable_diffusion_3.py` and its neighbours.
 */
export const stableDiffusion3: Family = {
  ...stableDiffusion,
  denoiser: 'transformer',
  sampleInput: 'hidden_states',
  defaults: {
    'text-to-image': { numInferenceSteps: 28, guidanceScale: 7, strength: 1 },
    'image-to-image': { numInferenceSteps: 50, guidanceScale: 7, strength: 0.6 },
    inpainting: { numInferenceSteps: 50, guidanceScale: 7, strength: 0.6 },
  },
  followsPicture: false,
  rescalesGuidance: () => true,
  isGuided: (_spec, { guidanceScale }) => guidanceScale > 1,
  planRequest(spec, request, config) {
    const schedule = requestedSchedule(request)
    if (config['use_dynamic_shifting'] !== true) return schedule
    return { ...schedule, mu: dynamicShift(spec, request, config, 1.16) }
  },
  // pipeline_stable_diffusion_3_inpaint.py leaves the shift out where it decodes, unlike its neighbours: an oversight of
  // diffusers' that its pictures have, so that ours have it too.
  decodingOf: ({ latents }, task) => (task === 'inpainting' ? { ...latents, shiftFactor: 0 } : latents),
  skippedSteps: (_spec, _request, steps, strength) => skippedByFraction(steps, strength),
  condition(spec, request, prompt, negative) {
    const texts = negative === null ? [prompt] : [negative, prompt]
    return { rows: texts.map((text) => textInputs(spec, request, text)), shared: {} }
  },
}

function textInputs(
  spec: ModelSpec,
  { maxSequenceLength = DEFAULT_SD3_TOKENS }: ImageRequest,
  encoders: readonly (Tensors | null)[],
): Tensors {
  const [clip, biggerClip, t5] = encoders as readonly [Tensors, Tensors, Tensors | null]
  const width = spec.jointAttentionDim!
  const clipStates = padWidth(concatenateWidths([hiddenStates(clip), hiddenStates(biggerClip)]), width)
  const t5States = t5?.['last_hidden_state'] ?? {
    data: new Float32Array(maxSequenceLength * width),
    dims: [maxSequenceLength, width],
  }
  return {
    encoder_hidden_states: concatenateTokens(clipStates, t5States),
    pooled_projections: concatenateWidths([clip['text_embeds']!, biggerClip['text_embeds']!]),
  }
}
