import type { Family } from './family.ts'
import { flux } from './flux.ts'
import { stableDiffusion3 } from './stable-diffusion-3.ts'
import { stableDiffusionXl } from './stable-diffusion-xl.ts'
import { latentConsistency, stableDiffusion } from './stable-diffusion.ts'
import { unconditionalModel } from './unconditional.ts'

export type FamilyName =
  | 'unconditional'
  | 'stable-diffusion'
  | 'latent-consistency'
  | 'stable-diffusion-xl'
  | 'stable-diffusion-3'
  | 'flux'

/** Every kind of model that can be run. */
export const FAMILIES: Readonly<Record<FamilyName, Family>> = {
  unconditional: unconditionalModel,
  'stable-diffusion': stableDiffusion,
  'latent-consistency': latentConsistency,
  'stable-diffusion-xl': stableDiffusionXl,
  'stable-diffusion-3': stableDiffusion3,
  flux,
}
