import { resize } from './pillow-resize.ts'
import type { ResizeFilter } from './pillow-resize.ts'
import { crop } from './raster.ts'
import type { Raster } from './raster.ts'

/** How a vision model wants its pictures: a transformers preprocessor_config.json, as far as it is used. */
export interface PixelValuesConfig {
  /** The shorter side becomes this; or both sides are set. null: as it is. */
  readonly size: { readonly shortestEdge: number } | { readonly width: number; readonly height: number } | null
  /** Cut out of the middle; null: no cut. */
  readonly cropSize: { readonly width: number; readonly height: number } | null
  readonly filter: ResizeFilter
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

/** Pillow's resampling filters by the numbers that preprocessor configs hold. */
const PILLOW_FILTERS: Readonly<Record<number, ResizeFilter>> = { 1: 'lanczos', 2: 'bilinear', 3: 'bicubic' }

type Json = Readonly<Record<string, unknown>>

/**
 * Reads a preprocessor_config.json of CLIP or DPT.
 * @throws TypeError for a size or filter that it cannot read
 */
export function parsePixelValuesConfig(json: Json): PixelValuesConfig {
  const filter = PILLOW_FILTERS[Number(json['resample'] ?? 3)]
  if (filter === undefined) {
    throw new TypeError(`preprocessor_config.json: resample is ${String(json['resample'])}; want 1, 2 or 3.`)
  }
  return {
    size: json['do_resize'] === false ? null : sizeOf(json['size'] ?? 224),
    cropSize: json['do_center_crop'] === true ? rectangle(json['crop_size'] ?? 224) : null,
    filter,
    mean: numbers(json['image_mean'], 'image_mean'),
    std: numbers(json['image_std'], 'image_std'),
  }
}

function sizeOf(value: unknown): PixelValuesConfig['size'] {
  if (typeof value === 'number') return { shortestEdge: value }
  const edge = (value as Json | null)?.['shortest_edge']
  return typeof edge === 'number' ? { shortestEdge: edge } : rectangle(value)
}

function rectangle(value: unknown): { width: number; height: number } {
  if (typeof value === 'number') return { width: value, height: value }
  const { width, height } = (value ?? {}) as Json
  if (typeof width !== 'number' || typeof height !== 'number') {
    throw new TypeError(`preprocessor_config.json: a size is ${JSON.stringify(value)}; want width and height.`)
  }
  return { width, height }
}

function numbers(value: unknown, key: string): readonly number[] {
  if (Array.isArray(value) && value.length === 3 && value.every((entry) => typeof entry === 'number')) return value
  throw new TypeError(`preprocessor_config.json: ${key} is ${JSON.stringify(value)}; want three numbers.`)
}

/**
 * A picture as a vision model takes it. transformers `CLIPImageProcessor` and `DPTImageProcessor`.
 * @param image RGB
 * @returns [3, height, width], normalised
 */
export function toPixelValues(
  image: Raster,
  config: PixelValuesConfig,
): { readonly data: Float32Array; readonly dims: readonly [3, number, number] } {
  const sized = config.size === null ? image : resizeTo(image, config.size, config.filter)
  const cut = config.cropSize === null ? sized : centerCrop(sized, config.cropSize)
  const { width, height, data } = cut
  const plane = width * height
  const out = new Float32Array(3 * plane)
  for (let c = 0; c < 3; c++) {
    const [mean, std] = [Math.fround(config.mean[c]!), Math.fround(config.std[c]!)]
    for (let p = 0; p < plane; p++) {
      out[c * plane + p] = Math.fround(Math.fround(data[3 * p + c]! / 255) - mean) / std
    }
  }
  return { data: out, dims: [3, height, width] }
}

function resizeTo(image: Raster, size: NonNullable<PixelValuesConfig['size']>, filter: ResizeFilter): Raster {
  if ('width' in size) return resize(image, size.width, size.height, filter)
  const { shortestEdge: edge } = size
  const { width, height } = image
  return width <= height
    ? resize(image, edge, Math.trunc((edge * height) / width), filter)
    : resize(image, Math.trunc((edge * width) / height), edge, filter)
}

function centerCrop(image: Raster, { width, height }: { width: number; height: number }): Raster {
  const left = Math.floor((image.width - width) / 2)
  const top = Math.floor((image.height - height) / 2)
  return crop(image, { left, top, right: left + width, bottom: top + height })
}
