import { create } from '@bufbuild/protobuf'
import { ItemSchema } from '@darkroom/proto'
import type { Item } from '@darkroom/proto'
import { expect, test } from 'vitest'
import { formatOf, itemPicturesOf, pictureKeysOf, requestOf } from './request-of.ts'

const itemOf = (fields: Partial<Omit<Item, '$typeName' | '$unknown'>> = {}): Item =>
  create(ItemSchema, {
    task: 'text-to-image',
    prompt: 'a cat',
    width: 64,
    height: 32,
    scheduler: 'DDIMScheduler',
    numInferenceSteps: 20,
    guidanceScale: 4,
    seed: 7n,
    numImages: 2,
    ...fields,
  })

test('an item that sets nothing more leaves everything to diffusers’ defaults', () => {
  expect(requestOf(itemOf(), 1, {})).toEqual({
    task: 'text-to-image',
    prompt: 'a cat',
    negativePrompt: null,
    safetyChecker: true,
    width: 64,
    height: 32,
    scheduler: 'DDIMScheduler',
    schedulerConfig: {},
    numInferenceSteps: 20,
    guidanceScale: 4,
    eta: 0,
    seed: 8,
  })
})

test('what an item sets reaches the engine, zeros too', () => {
  const fields = {
    negativePrompt: 'blurry',
    schedulerConfig: { use_karras_sigmas: true },
    timesteps: [900, 500, 100],
    sigmas: [1.5, 0.5],
    guidanceRescale: 0,
    originalInferenceSteps: 50,
    strength: 0,
    paddingMaskCrop: 0,
    maxSequenceLength: 77,
    originalSize: [512, 768],
    cropsCoordsTopLeft: [0, 0],
    targetSize: [64, 32],
    aestheticScore: 6,
    negativeAestheticScore: 2.5,
    denoisingEnd: 0.8,
    refiner: 'refiner@sha256:00',
  }
  expect(requestOf(itemOf(fields), 0, {})).toMatchObject(fields)
  expect(requestOf(itemOf({ safetyChecker: 'off' }), 0, {}).safetyChecker).toBe(false)
})

test('previews are asked for where the item asks, as estimates unless it wants them decoded', () => {
  expect(requestOf(itemOf({ previewEvery: 5 }), 0, {}).preview).toEqual({ every: 5, mode: 'estimate' })
  const decoded = itemOf({ previewEvery: 1, previewMode: 'decode' })
  expect(requestOf(decoded, 0, {}).preview).toEqual({ every: 1, mode: 'decode' })
})

test('an unknown task and half a pair are refused by name', () => {
  expect(() => requestOf(itemOf({ task: 'text-to-video' }), 0, {})).toThrow(/'text-to-video'/)
  expect(() => requestOf(itemOf({ targetSize: [64] }), 0, {})).toThrow('targetSize is [64]; want two numbers')
})

test('pictures are PNG unless the item asks for another format, which must be known', () => {
  expect([itemOf(), itemOf({ outputFormat: 'jpeg' })].map(formatOf)).toEqual(['png', 'jpeg'])
  expect(() => formatOf(itemOf({ outputFormat: 'tiff' }))).toThrow(/outputFormat 'tiff'/)
})

test('only fields that name a picture are looked up', () => {
  expect(pictureKeysOf(itemOf())).toEqual({})
  expect(pictureKeysOf(itemOf({ image: 'a', depthMap: 'b' }))).toEqual({ image: 'a', depthMap: 'b' })
})

test('a depth map is the luminance of its picture, lighter is nearer', () => {
  const image = { width: 2, height: 1, channels: 3, data: Uint8Array.of(1, 2, 3, 4, 5, 6) } as const
  const depthMap = {
    width: 3,
    height: 1,
    channels: 3,
    data: Uint8Array.of(0, 0, 0, 51, 51, 51, 255, 255, 255),
  } as const
  const pictures = itemPicturesOf({ image, depthMap })
  expect(pictures.image).toBe(image)
  expect(pictures.depthMap).toMatchObject({ width: 3, height: 1, data: Float32Array.of(0, 0.2, 1) })
  expect(itemPicturesOf({ image })).toEqual({ image })
})
