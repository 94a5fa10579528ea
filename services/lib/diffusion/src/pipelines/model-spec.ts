import type { FamilyName } from '../families/registry.ts'

/** What a checkpoint says about shapes, latents and the scheduler that it was saved with. Plain data. */
export interface ModelSpec {
  readonly family: FamilyName
  /** Of the UNet or transformer. */
  readonly inChannels: number
  /** Of the samples that are denoised. */
  readonly latentChannels: number
  /** Whether the model puts out its variance too, in as many channels after those of its prediction. */
  readonly learnsVariance: boolean
  /** Side that the model was trained at, in latent pixels. */
  readonly sampleSize: number
  /** Pixels per latent pixel; 1 where the UNet works on pixels. */
  readonly vaeScaleFactor: number
  /** Width and height must be multiples of it, in pixels. */
  readonly sizeMultiple: number
  /** Pixels of the longest side that it can do; null where nothing limits it. */
  readonly maxSide: number | null
  /** Its scheduler_config.json. */
  readonly trainedScheduler: Readonly<Record<string, unknown>>
  readonly latents: LatentNormalization
  /** Width of the guidance embedding of distilled UNets (LCM), else null. */
  readonly timeCondProjDim: number | null
  /** Width of the text that a transformer attends to, else null. */
  readonly jointAttentionDim: number | null
  /** Side of a transformer's patches in latent pixels; 1 for UNets. */
  readonly patchSize: number
  /** Flux: whether the transformer takes the guidance scale as an input. */
  readonly hasGuidanceEmbeds: boolean
  /** Stable Diffusion XL: an absent negative prompt is zeros. */
  readonly forcesZerosForEmptyPrompt: boolean
  /** Stable Diffusion XL's refiner. */
  readonly requiresAestheticsScore: boolean
}

/** latents = (sample - shift) · scaling, and per channel (sample - mean) / std before it where the VAE has them. */
export interface LatentNormalization {
  readonly scalingFactor: number
  readonly shiftFactor: number
  readonly mean: readonly number[] | null
  readonly std: readonly number[] | null
}

/** What the decoder takes, of latents that are [channels, …]. */
export function denormalizeLatents(latents: Float32Array, channels: number, n: LatentNormalization): Float32Array {
  const { scalingFactor, shiftFactor, mean, std } = n
  const plane = latents.length / channels
  const scale = Math.fround(scalingFactor)
  return latents.map((x, j) => {
    if (mean === null || std === null) return Math.fround(x / scale) + shiftFactor
    const c = Math.floor(j / plane)
    return Math.fround(Math.fround(x * Math.fround(std[c]!)) / scale) + mean[c]!
  })
}

/** Latents of what the encoder puts out, [channels, …]. */
export function normalizeLatents(sample: Float32Array, channels: number, n: LatentNormalization): Float32Array {
  const { scalingFactor, shiftFactor, mean, std } = n
  const plane = sample.length / channels
  return sample.map((x, j) => {
    if (mean === null || std === null) return Math.fround(x - shiftFactor) * scalingFactor
    const c = Math.floor(j / plane)
    return (Math.fround(x - mean[c]!) * scalingFactor) / std[c]!
  })
}
