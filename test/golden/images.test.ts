import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { toLatentDepth } from '../../services/lib/diffusion/src/images/depth-map.ts'
import { cropRegion, pasteBack } from '../../services/lib/diffusion/src/images/inpainting-crop.ts'
import { resize } from '../../services/lib/diffusion/src/images/pillow-resize.ts'
import type { ResizeFilter } from '../../services/lib/diffusion/src/images/pillow-resize.ts'
import { parsePixelValuesConfig, toPixelValues } from '../../services/lib/diffusion/src/images/pixel-values.ts'
import { toLuminance } from '../../services/lib/diffusion/src/images/raster.ts'
import type { Raster } from '../../services/lib/diffusion/src/images/raster.ts'
import { toBinaryMask, toEncoderInput, toLatentMask } from '../../services/lib/diffusion/src/images/vae-images.ts'
import { decodeFloat32 } from './float32.ts'
import { readJson } from './read-json.ts'

interface EncodedPicture {
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3
  readonly data_base64: string
}

interface InputCase {
  readonly image: EncodedPicture
  readonly mask: EncodedPicture
  readonly width: number
  readonly height: number
  readonly pixels_f32_base64: string
  readonly binary_f32_base64: string
}

const golden = readJson(path.join(import.meta.dirname, 'images.json')) as {
  resizes: { filter: ResizeFilter; image: EncodedPicture; want: EncodedPicture }[]
  luminances: { image: EncodedPicture; want: EncodedPicture }[]
  inpaintings: (InputCase & {
    padding: number
    region: [number, number, number, number]
    repainted: EncodedPicture
    overlay: EncodedPicture
  })[]
  wholes: (InputCase & { latent_f32_base64: string })[]
  pixel_values: { config: Record<string, unknown>; image: EncodedPicture; want_f32_base64: string }[]
  depths: { width: number; height: number; depth_f32_base64: string; to: [number, number]; want_f32_base64: string }[]
}

function decoded({ data_base64: data, ...rest }: EncodedPicture): Raster {
  return { ...rest, data: Uint8Array.from(Buffer.from(data, 'base64')) }
}

function expectNear(got: Float32Array, base64: string, tolerance: number): void {
  const want = decodeFloat32(base64)
  expect(got).toHaveLength(want.length)
  expect(got.reduce((worst, x, j) => Math.max(worst, Math.abs(x - want[j]!)), 0)).toBeLessThanOrEqual(tolerance)
}

describe('pictures are resized as Pillow does, bit for bit', () => {
  test.for(golden.resizes)(
    '$filter, $image.width x $image.height to $want.width x $want.height',
    ({ filter, image, want }) => {
      expect(resize(decoded(image), want.width, want.height, filter)).toEqual(decoded(want))
    },
  )

  test.for(golden.luminances)('and made grey', ({ image, want }) => {
    expect(toLuminance(decoded(image))).toEqual(decoded(want))
  })
})

describe('inputs are prepared as diffusers does', () => {
  test.for(golden.wholes)('whole, at $width x $height', ({ image, mask, width, height, ...want }) => {
    const framing = { width, height, crop: null }
    expectNear(toEncoderInput(decoded(image), framing), want.pixels_f32_base64, 1e-7)
    const binary = toBinaryMask(decoded(mask), framing)
    expectNear(binary, want.binary_f32_base64, 0)
    const latent = toLatentMask(binary, framing, { width: Math.floor(width / 8), height: Math.floor(height / 8) })
    expectNear(latent, want.latent_f32_base64, 0)
  })

  test.for(golden.inpaintings)("the mask's surroundings, at $width x $height with $padding around", (one) => {
    const { width, height } = one
    const [image, mask] = [decoded(one.image), decoded(one.mask)]
    const crop = cropRegion(mask, width, height, one.padding)
    const [left, top, right, bottom] = one.region
    expect(crop).toEqual({ left, top, right, bottom })
    expectNear(toEncoderInput(image, { width, height, crop }), one.pixels_f32_base64, 1e-7)
    expectNear(toBinaryMask(mask, { width, height, crop }), one.binary_f32_base64, 0)
    expect(pasteBack(image, mask, decoded(one.repainted), crop)).toEqual(decoded(one.overlay))
  })

  test('a mask without white is refused', () => {
    const black: Raster = { width: 8, height: 8, channels: 1, data: new Uint8Array(64) }
    expect(() => cropRegion(black, 8, 8, 0)).toThrow(/maskImage is black all over/)
  })

  test.for(golden.depths)('a depth map of $width x $height', ({ width, height, to, ...one }) => {
    const got = toLatentDepth({ width, height, data: decodeFloat32(one.depth_f32_base64) }, ...to)
    expectNear(got, one.want_f32_base64, 5e-6)
  })

  test('a flat depth map is refused', () => {
    expect(() => toLatentDepth({ width: 4, height: 4, data: new Float32Array(16) }, 2, 2)).toThrow(
      /depthMap is the same/,
    )
  })
})

describe('vision models see pictures as transformers prepares them', () => {
  test.for(golden.pixel_values)(
    '$config.image_processor_type, $image.width x $image.height',
    ({ config, image, ...one }) => {
      expectNear(toPixelValues(decoded(image), parsePixelValuesConfig(config)).data, one.want_f32_base64, 1e-6)
    },
  )
})
