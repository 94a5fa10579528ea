/** JSON Schema of one parameter, as far as the tasks need it. */
export interface ParameterSchema {
  readonly type: 'string' | 'integer' | 'number'
  readonly description: string
  readonly minimum?: number
  readonly maximum?: number
}

/** What a task is asked with, besides checkpoint and scheduler: the item's fields, their ranges and their defaults. */
export interface Task {
  readonly usesPrompt: boolean
  /** JSON Schema of the fields, by name: the gateway's validator and its OpenAPI entry. */
  readonly parameters: Readonly<Record<string, ParameterSchema>>
  readonly defaults: { readonly numInferenceSteps: number; readonly guidanceScale: number }
  /** UNet rows for one image: what the planner's cost is made of. */
  rows(request: { readonly numInferenceSteps: number; readonly guidanceScale: number }): number
}

export const COMMON_PARAMETERS = {
  width: {
    type: 'integer',
    description: 'Pixels; a multiple of what the checkpoint needs. Default: as it was trained.',
    minimum: 8,
    maximum: 2048,
  },
  height: {
    type: 'integer',
    description: 'Pixels; a multiple of what the checkpoint needs. Default: as it was trained.',
    minimum: 8,
    maximum: 2048,
  },
  numInferenceSteps: { type: 'integer', description: 'Denoising steps.', minimum: 1, maximum: 1000 },
  eta: {
    type: 'number',
    description: 'DDIM: 0 deterministic, 1 as much noise as DDPM. Other schedulers ignore it.',
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
} as const satisfies Record<string, ParameterSchema>
