import type { Family } from './family.ts'
import { requestedSchedule, skippedByInteger } from './schedule.ts'

/** A UNet on pixels without a prompt. Ho et al. 2020 (arXiv:2006.11239); diffusers `DDPMPipeline`, `DDIMPipeline`. */
export const unconditionalModel: Family = {
  denoiser: 'unet',
  sampleInput: 'sample',
  defaults: { 'unconditional-image-generation': { numInferenceSteps: 50, guidanceScale: 0, strength: 1 } },
  followsPicture: false,
  rescalesGuidance: () => false,
  noisesWholeInpaintings: false,
  isGuided: () => false,
  planRequest: (_spec, request) => requestedSchedule(request),
  skippedSteps: (_spec, _request, steps, strength) => skippedByInteger(steps, strength),
  shape: (spec, width, height) => [spec.latentChannels, height, width],
  pack: (latents) => latents,
  unpack: (latents) => latents,
  decodingOf: ({ latents }) => latents,
  modelTimestep: (timestep) => timestep,
  condition: () => ({ rows: [{}], shared: {} }),
}
