import { TASKS } from '@darkroom/diffusion'
import type { ParameterSchema } from '@darkroom/diffusion'
import { OUTPUT_FORMATS } from '@darkroom/proto'
import { Type } from 'typebox'
import type { TProperties, TSchema } from 'typebox'
import type { Parameters } from './parameters.ts'

/** An item as a caller may write it: what the compiled check has let through. Ranges are the schema's. */
export interface ItemInput {
  readonly customId?: string
  readonly task?: string
  readonly checkpoint?: string
  readonly prompt?: string
  readonly negativePrompt?: string
  readonly width?: number
  readonly height?: number
  readonly scheduler?: string
  readonly schedulerConfig?: Readonly<Record<string, unknown>>
  readonly numInferenceSteps?: number
  readonly timesteps?: readonly number[]
  readonly sigmas?: readonly number[]
  readonly originalInferenceSteps?: number
  readonly guidanceScale?: number
  readonly guidanceRescale?: number
  readonly eta?: number
  readonly seed?: number
  readonly numImages?: number
  readonly image?: string
  readonly maskImage?: string
  readonly depthMap?: string
  readonly strength?: number
  readonly paddingMaskCrop?: number
  readonly maxSequenceLength?: number
  readonly originalSize?: readonly number[]
  readonly cropsCoordsTopLeft?: readonly number[]
  readonly targetSize?: readonly number[]
  readonly aestheticScore?: number
  readonly negativeAestheticScore?: number
  readonly denoisingEnd?: number
  readonly refiner?: string
  readonly previewEvery?: number
  readonly previewMode?: string
  readonly safetyChecker?: string
  readonly outputFormat?: string
}

const MAX_CUSTOM_ID_CHARACTERS = 128
const MAX_METADATA_PAIRS = 16
const MAX_METADATA_KEY = 64
const MAX_METADATA_VALUE = 512

const EXAMPLES: Readonly<Record<string, unknown>> = {
  prompt: 'a red apple',
  negativePrompt: 'blurry',
  width: 64,
  height: 64,
  numInferenceSteps: 25,
  guidanceScale: 3.5,
  seed: 7,
  numImages: 4,
  image: 'inputs/default/sha256/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  strength: 0.6,
  previewEvery: 5,
}

/** Fields that every item has, whatever its task. */
const GENERAL_FIELDS = {
  customId: Type.String({
    minLength: 1,
    maxLength: MAX_CUSTOM_ID_CHARACTERS,
    description: 'Your name for the item, unique in the batch. Default: item-<index>.',
    examples: ['apple-1'],
  }),
  task: Type.Enum(Object.keys(TASKS), { description: 'Default: what the checkpoint is for.' }),
  checkpoint: Type.String({
    minLength: 1,
    maxLength: 300,
    description: 'NAME, NAME:TAG or the pin NAME@sha256:HEX. What is stored is the pin.',
    examples: ['emoji-sd'],
  }),
  scheduler: Type.String({
    minLength: 1,
    maxLength: 100,
    description:
      "Diffusion scheduler, by diffusers' class name, or a sampler of A1111 or ComfyUI such as DPM++ 2M Karras. " +
      "Default: the checkpoint's own.",
    examples: ['EulerDiscreteScheduler'],
  }),
  schedulerConfig: Type.Record(Type.String(), Type.Unknown(), {
    description: "Keys of scheduler_config.json, in snake_case, that override the checkpoint's own.",
    examples: [{ use_karras_sigmas: true }],
  }),
  outputFormat: Type.Enum(Object.keys(OUTPUT_FORMATS), {
    description: 'What the pictures are written as; jpeg and webp lose a little, at quality 90. Default: png.',
  }),
} satisfies TProperties

/** The one schema of an item: compiled into the check of every line, and printed in the OpenAPI document. */
export function itemProperties(parameters: Parameters): TProperties {
  const fields = Object.entries(parameters).map(([name, schema]) => [name, Type.Optional(fieldOf(name, schema))])
  const general = Object.entries(GENERAL_FIELDS).map(([name, schema]) => [name, Type.Optional(schema)])
  return Object.fromEntries([...general, ...fields]) as TProperties
}

export function itemSchema(properties: TProperties) {
  return Type.Object(properties, { additionalProperties: false, description: 'One request: one or several images.' })
}

/** What the items of a batch have in common: any field but the name. */
export function defaultsSchema(properties: TProperties) {
  const { customId: _, ...shared } = properties
  return Type.Object(shared, {
    additionalProperties: false,
    description: 'Values for items that do not give their own, wherever the item’s task takes the field.',
  })
}

export const metadataSchema = Type.Record(
  Type.String({ pattern: `^[\\s\\S]{1,${MAX_METADATA_KEY}}$` }),
  Type.String({ maxLength: MAX_METADATA_VALUE }),
  {
    additionalProperties: false,
    maxProperties: MAX_METADATA_PAIRS,
    description: `your own notes, given back with the batch: at most ${MAX_METADATA_PAIRS} strings of up to ${MAX_METADATA_VALUE} characters, names up to ${MAX_METADATA_KEY}`,
    examples: [{ project: 'fruit' }],
  },
)

function fieldOf(name: string, schema: ParameterSchema): TSchema {
  const { type, values, ...rest } = schema
  const options = { ...rest, ...(name in EXAMPLES && { examples: [EXAMPLES[name]] }) }
  switch (type) {
    case 'string':
      return values === undefined ? Type.String(options) : Type.Enum([...values], options)
    case 'integer':
      return Type.Integer(options)
    case 'number':
      return Type.Number(options)
    case 'numbers':
      return Type.Array(Type.Number(), options)
    default:
      return type satisfies never
  }
}

/** What a field wants, as the end of a sentence. */
export function wanted(schema: TSchema): string {
  const keywords: SchemaKeywords = schema
  const { type, minimum, minLength, minItems } = keywords
  if (keywords.enum !== undefined) return `one of ${keywords.enum.join(', ')}`
  if (type === 'object') return `an object: ${keywords.description}`
  if (type === 'array') {
    const { maxItems } = keywords
    return `a list of ${minItems === maxItems ? minItems : `${minItems} to ${maxItems}`} numbers`
  }
  const noun = type === 'integer' ? 'an integer' : type === 'number' ? 'a number' : 'a string'
  if (minLength !== undefined) return `${noun} of ${minLength} to ${keywords.maxLength} characters`
  if (keywords.exclusiveMinimum !== undefined) return `${noun} ${between(keywords)}`
  return minimum === undefined ? noun : `${noun} from ${minimum} to ${keywords.maximum}`
}

function between({ exclusiveMinimum, exclusiveMaximum, maximum }: SchemaKeywords): string {
  const end = exclusiveMaximum === undefined ? `at most ${maximum}` : `less than ${exclusiveMaximum}`
  return `more than ${exclusiveMinimum}, ${end}`
}

interface SchemaKeywords {
  readonly type?: string
  readonly description?: string
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
}
