/** JSON Schema of one parameter, as far as the tasks need it; `numbers` is a list of numbers. */
export interface ParameterSchema {
  readonly type: 'string' | 'integer' | 'number' | 'numbers'
  readonly description: string
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
  /** Of a list. */
  readonly minItems?: number
  readonly maxItems?: number
  /** All that a string may be. */
  readonly values?: readonly string[]
}

export type Parameters = Readonly<Record<string, ParameterSchema>>

/** What the planner knows of a request. */
export interface Effort {
  readonly numInferenceSteps: number
  readonly guidanceScale: number
  readonly strength?: number | undefined
}

/** What a task is asked with, besides checkpoint and scheduler: the item's fields and their ranges. */
export interface Task {
  readonly usesPrompt: boolean
  readonly usesImage: boolean
  /** By name: the gateway's validator and its OpenAPI entry. */
  readonly parameters: Parameters
  /** Denoiser rows for one image: what the planner's cost is made of. */
  rows(effort: Effort): number
}

export function guidedRows({ numInferenceSteps, guidanceScale }: Effort): number {
  return numInferenceSteps * (guidanceScale > 1 ? 2 : 1)
}

/** Of the tasks that skip the first part of the schedule. */
export function partialRows(effort: Effort): number {
  return guidedRows(effort) * (effort.strength ?? 1)
}

const SIDE = 'Pixels; a multiple of what the checkpoint needs. Default: as it was trained, or as the picture is.'

export const COMMON_PARAMETERS = {
  width: { type: 'integer', description: SIDE, minimum: 8, maximum: 2048 },
  height: { type: 'integer', description: SIDE, minimum: 8, maximum: 2048 },
  numInferenceSteps: { type: 'integer', description: 'Denoising steps.', minimum: 1, maximum: 1000 },
  timesteps: {
    type: 'numbers',
    description: 'A schedule of your own, from high to low, instead of numInferenceSteps.',
    minItems: 1,
    maxItems: 1000,
  },
  sigmas: {
    type: 'numbers',
    description: 'A schedule of your own as noise levels, from high to low, instead of numInferenceSteps.',
    minItems: 1,
    maxItems: 1001,
  },
  eta: {
    type: 'number',
    description: 'DDIM: 0 deterministic, 1 as much noise as DDPM; TCD: its gamma. Other schedulers ignore it.',
    minimum: 0,
    maximum: 1,
  },
  seed: {
    type: 'integer',
    description: 'Of the first image; image n has seed + n. Default: drawn at acceptance.',
    minimum: 0,
    maximum: 2 ** 53 - 1,
  },
  numImages: { type: 'integer', description: 'Pictures of this item.', minimum: 1, maximum: 1000 },
  previewEvery: {
    type: 'integer',
    description: 'Send the picture as it is after every so many steps, as events of the batch.',
    minimum: 1,
    maximum: 1000,
  },
  previewMode: {
    type: 'string',
    description: 'estimate: a cheap sketch of the latents; decode: what the VAE makes of them.',
    values: ['estimate', 'decode'],
  },
} as const satisfies Parameters

export const PROMPT_PARAMETERS = {
  prompt: { type: 'string', description: 'What to draw.' },
  negativePrompt: {
    type: 'string',
    description: 'What to draw away from. Default: none, which Stable Diffusion XL tells from an empty one.',
  },
  guidanceScale: {
    type: 'number',
    description: 'Weight of the prompt; 1 or less turns guidance off.',
    minimum: 0,
    maximum: 50,
  },
  guidanceRescale: {
    type: 'number',
    description:
      'Tames overexposure by strong guidance: 0 off, 1 full (arXiv:2305.08891). Stable Diffusion 1 and 2 hear it in text-to-image only, as in diffusers.',
    minimum: 0,
    maximum: 1,
  },
  originalInferenceSteps: {
    type: 'integer',
    description: 'LCM and TCD: steps of the schedule that was distilled. Default: the scheduler’s.',
    minimum: 1,
    maximum: 1000,
  },
  maxSequenceLength: {
    type: 'integer',
    description: 'Stable Diffusion 3 and Flux: tokens of the T5 prompt.',
    minimum: 1,
    maximum: 512,
  },
  originalSize: size('Stable Diffusion XL: [height, width] that the picture is said to come from.'),
  cropsCoordsTopLeft: size('Stable Diffusion XL: [top, left] where it is said to be cropped.'),
  targetSize: size('Stable Diffusion XL: [height, width] that it is said to have.'),
  aestheticScore: score('Stable Diffusion XL refiner: beauty asked for; default 6.'),
  negativeAestheticScore: score('Stable Diffusion XL refiner: beauty drawn away from; default 2.5.'),
  denoisingEnd: fraction('Stable Diffusion XL: the part of the schedule that the base takes before its refiner.'),
  refiner: {
    type: 'string',
    description: 'Stable Diffusion XL: the checkpoint that finishes what denoisingEnd leaves.',
  },
  safetyChecker: {
    type: 'string',
    description: 'on: pictures that the checkpoint’s safety checker flags come out black; off where your tenant may.',
    values: ['on', 'off'],
  },
} as const satisfies Parameters

export const IMAGE_PARAMETERS = {
  image: {
    type: 'string',
    description: 'The picture to start from: PNG, JPEG or WebP as a data URL, or the key of an upload.',
  },
  strength: {
    type: 'number',
    description: 'How much of the schedule is run on the picture: 1 redraws it all.',
    exclusiveMinimum: 0,
    maximum: 1,
  },
} as const satisfies Parameters

function size(description: string) {
  return { type: 'numbers', description, minItems: 2, maxItems: 2 } as const
}

function score(description: string) {
  return { type: 'number', description, minimum: 0, maximum: 10 } as const
}

function fraction(description: string) {
  return { type: 'number', description, exclusiveMinimum: 0, exclusiveMaximum: 1 } as const
}
