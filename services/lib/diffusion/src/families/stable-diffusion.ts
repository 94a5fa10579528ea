import type { Family } from './family.ts'
import { guidanceEmbedding } from './guidance-embedding.ts'
import { requestedSchedule, skippedByInteger } from './schedule.ts'

/**
 * Stable Diffusion 1 and 2: a UNet that attends to the hidden states of one CLIP text encoder.
 *
 * Rombach et al. 2022 (arXiv:2112.10752), classifier-free guidance of Ho and Salimans 2022 (arXiv:2207.12598) where the
 * scale exceeds 1; diffusers `pipeline_stable_diffusion.py` and its neighbours.
 */
export const stableDiffusion: Family = {
  denoiser: 'unet',
  sampleInput: 'sample',
  defaults: {
    'text-to-image': { numInferenceSteps: 50, guidanceScale: 7.5, strength: 1 },
    'image-to-image': { numInferenceSteps: 50, guidanceScale: 7.5, strength: 0.8 },
    inpainting: { numInferenceSteps: 50, guidanceScale: 7.5, strength: 1 },
    'depth-to-image': { numInferenceSteps: 50, guidanceScale: 7.5, strength: 0.8 },
  },
  followsPicture: true,
  rescalesGuidance: (task) => task === 'text-to-image',
  noisesWholeInpaintings: false,
  isGuided: (spec, { guidanceScale }) => guidanceScale > 1 && spec.timeCondProjDim === null,
  planRequest: (_spec, request) => requestedSchedule(request),
  skippedSteps: (_spec, _request, steps, strength) => skippedByInteger(steps, strength),
  shape: (spec, width, height) => [spec.latentChannels, height / spec.vaeScaleFactor, width / spec.vaeScaleFactor],
  pack: (latents) => latents,
  unpack: (latents) => latents,
  decodingOf: ({ latents }) => latents,
  modelTimestep: (timestep) => timestep,
  condition(spec, { guidanceScale }, prompt, negative) {
    const texts = negative === null ? [prompt] : [negative, prompt]
    const guidance = guidanceEmbedding(spec, guidanceScale)
    const rows = texts.map(([text]) => ({ encoder_hidden_states: text!['last_hidden_state']!, ...guidance }))
    return { rows, shared: {} }
  },
}

/**
 * Latent consistency models: Stable Diffusion distilled into a few steps, its guidance scale an input.
 *
 * Luo et al. 2023 (arXiv:2310.04378); diffusers `latent_consistency_models/`. Image-to-image hands the strength to the
 * scheduler, which chooses among the distilled timesteps.
 */
export const latentConsistency: Family = {
  ...stableDiffusion,
  defaults: {
    'text-to-image': { numInferenceSteps: 4, guidanceScale: 8.5, strength: 1 },
    'image-to-image': { numInferenceSteps: 4, guidanceScale: 8.5, strength: 0.8 },
  },
  planRequest(_spec, request) {
    const schedule = requestedSchedule(request)
    if (request.task !== 'image-to-image' || !takesStrength(request.scheduler)) return schedule
    const { strength = 0.8 } = request
    if (!('timesteps' in schedule)) return { ...schedule, strength }
    // Cut here, so that the last step adds no noise: upstream decodes what it denoised.
    const kept = Math.trunc(schedule.timesteps.length * strength)
    return kept === 0 ? { ...schedule, strength } : { ...schedule, timesteps: schedule.timesteps.slice(-kept) }
  },
  skippedSteps: (_spec, { scheduler }, steps, strength) =>
    takesStrength(scheduler) ? 0 : skippedByInteger(steps, strength),
}

function takesStrength(scheduler: string): boolean {
  return scheduler === 'LCMScheduler' || scheduler === 'TCDScheduler'
}
