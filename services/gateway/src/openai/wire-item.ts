import type { TProperties, TSchema } from 'typebox'
import { shown, suggestion } from '../field-problems.ts'
import type { ItemInput } from '../ingest/item-schema.ts'
import type { Problem } from '@darkroom/chassis'
import type { BatchEndpoint } from './documents.ts'

/** What OpenAI calls fields that the farm has under another name. */
const OPENAI_NAMES: Readonly<Record<string, string>> = { checkpoint: 'model', numImages: 'n', maskImage: 'mask_image' }
/** Fields of OpenAI's that change nothing here, and that its clients send. */
const WITHOUT_EFFECT = new Set(['user', 'quality', 'style', 'moderation', 'input_fidelity'])
/** Fields that the routes read themselves. */
const OF_THE_ROUTE = new Set([
  'size',
  'response_format',
  'stream',
  'partial_images',
  'background',
  'output_compression',
])
const SIZE = /^([1-9]\d{0,4})x([1-9]\d{0,4})$/
/** The farm names items itself here; the task follows from the endpoint, or is named. */
const HIDDEN = new Set(['customId', 'previewEvery', 'previewMode'])

/** A request's body in the farm's words. */
export interface WireItem {
  readonly item: ItemInput
  readonly problems: readonly Problem[]
}

/**
 * Turns bodies of /v1/images/generations and /v1/images/edits into items: OpenAI's own fields, and every field of an item in
 * snake_case beside them (`num_inference_steps`, `guidance_scale`, `seed`, `scheduler` …).
 */
export class WireItems {
  readonly #properties: TProperties
  /** By the name on the wire. */
  readonly #native: ReadonlyMap<string, string>

  constructor(itemProperties: TProperties) {
    this.#properties = itemProperties
    const names = Object.keys(itemProperties).filter((name) => !HIDDEN.has(name))
    this.#native = new Map(names.map((name) => [wireName(name), name]))
  }

  /** Names that a body may have. */
  get names(): readonly string[] {
    return [...this.#native.keys(), ...OF_THE_ROUTE, ...WITHOUT_EFFECT]
  }

  /** For the OpenAPI document: the fields of items under their names here. */
  get properties(): TProperties {
    return Object.fromEntries([...this.#native].map(([wire, name]) => [wire, this.#properties[name]!]))
  }

  /** Null stands for a field that is left out. Shapes and ranges are checked with the item. */
  itemOf(body: Readonly<Record<string, unknown>>, endpoint: BatchEndpoint): WireItem {
    const item: Record<string, unknown> = {}
    const problems: Problem[] = []
    for (const [field, value] of Object.entries(body)) {
      const name = this.#native.get(field)
      if (value === null || WITHOUT_EFFECT.has(field)) continue
      if (name !== undefined) item[name] = value
      else if (field === 'size') problems.push(...takeSize(item, value))
      else if (field === 'background') problems.push(...only(field, value, ['auto', 'opaque'], 'pictures are opaque'))
      else if (field === 'output_compression')
        problems.push(...only(field, value, [90], 'jpeg and webp are written at quality 90'))
      else if (!OF_THE_ROUTE.has(field)) {
        const message = `unknown parameter${suggestion(field, this.names) || ': leave it out'}`
        problems.push({ field: String(shown(field)), value: shown(value), message })
      }
    }
    if (endpoint === '/v1/images/edits' && item['task'] === undefined)
      item['task'] = item['maskImage'] === undefined ? 'image-to-image' : 'inpainting'
    return { item, problems }
  }

  /** A form's texts as the values that their fields have; what does not fit stays a text, and is refused with its item. */
  fromForm(fields: Readonly<Record<string, string>>): Readonly<Record<string, unknown>> {
    return Object.fromEntries(Object.entries(fields).map(([field, text]) => [field, this.#valueOf(field, text)]))
  }

  /** A problem of an item with the name that its field has here. */
  inWireNames(problem: Problem): Problem {
    if (problem.field === undefined) return problem
    const [, name = '', rest = ''] = /^([^.[]*)(.*)$/.exec(problem.field)!
    return { ...problem, field: this.#native.has(wireName(name)) ? wireName(name) + rest : problem.field }
  }

  #valueOf(field: string, text: string): unknown {
    const { type } = (this.#properties[this.#native.get(field) ?? ''] ?? FORM_TYPES[field] ?? {}) as TSchema & {
      type?: string
    }
    if (type === undefined || type === 'string') return text
    try {
      return JSON.parse(text) as unknown
    } catch {
      return text
    }
  }
}

const FORM_TYPES: Readonly<Record<string, object>> = {
  stream: { type: 'boolean' },
  partial_images: { type: 'integer' },
  output_compression: { type: 'integer' },
}

function wireName(name: string): string {
  return OPENAI_NAMES[name] ?? name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

function takeSize(item: Record<string, unknown>, size: unknown): readonly Problem[] {
  if (size === 'auto') return []
  const [, width, height] = SIZE.exec(typeof size === 'string' ? size : '') ?? []
  if (height === undefined) {
    return [{ field: 'size', value: shown(size), message: "want WIDTHxHEIGHT in pixels such as 512x512, or 'auto'" }]
  }
  item['width'] = Number(width)
  item['height'] = Number(height)
  return []
}

function only(field: string, value: unknown, allowed: readonly unknown[], why: string): readonly Problem[] {
  if (allowed.includes(value)) return []
  return [{ field, value: shown(value), message: `${why}: leave it out` }]
}
