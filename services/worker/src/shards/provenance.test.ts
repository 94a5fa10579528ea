import { create } from '@bufbuild/protobuf'
import { ItemSchema } from '@darkroom/proto'
import type { Item } from '@darkroom/proto'
import { expect, test } from 'vitest'
import { provenanceOf } from './provenance.ts'

const PIN = `emoji-sd@sha256:${'ab'.repeat(32)}`
const BASE = {
  index: 7,
  customId: 'apple',
  task: 'text-to-image',
  checkpoint: PIN,
  prompt: 'a red apple',
  width: 64,
  height: 32,
  scheduler: 'DPMSolverMultistepScheduler',
  schedulerConfig: { use_karras_sigmas: true },
  numInferenceSteps: 20,
  guidanceScale: 3.5,
  seed: 11n,
  numImages: 3,
}

function said(item: Partial<Omit<Item, '$typeName' | '$unknown'>>, n = 0) {
  const { darkroom, parameters } = provenanceOf(create(ItemSchema, { ...BASE, ...item }), n, {
    device: { kind: 'cpu' },
    determinism: 'request',
  })
  return { parameters, ...(JSON.parse(darkroom) as { item: Record<string, unknown>; renderedBy: object }) }
}

test('an image says what renders exactly it, not its item', () => {
  const { item, renderedBy } = said({ negativePrompt: '', previewEvery: 5, previewMode: 'decode' }, 2)
  const { index: _, customId: __, numImages: ___, ...rest } = BASE
  expect(item).toEqual({ ...rest, negativePrompt: '', eta: 0, seed: 13 })
  expect(renderedBy).toEqual({
    darkroom: expect.any(String),
    onnxruntime: expect.any(String),
    device: 'cpu',
    determinism: 'request',
  })
})

test('a schedule of its own takes the place of the steps, and pictures are named by their keys', () => {
  const key = `inputs/default/sha256/${'0'.repeat(64)}`
  const { item } = said({
    timesteps: [900, 1],
    task: 'image-to-image',
    image: key,
    strength: 0.5,
    safetyChecker: 'off',
  })
  expect(item).toMatchObject({ timesteps: [900, 1], image: key, strength: 0.5, safetyChecker: 'off' })
  expect(item).not.toHaveProperty('numInferenceSteps')
})

test('a picture that is no PNG says what it is, so that it is written as that again', () => {
  expect(said({ outputFormat: 'webp' }).item).toMatchObject({ outputFormat: 'webp' })
  expect(said({ outputFormat: 'png' }).item).not.toHaveProperty('outputFormat')
})

test('an unconditional image says neither prompt nor guidance', () => {
  const { item, parameters } = said({ task: 'unconditional-image-generation', prompt: '', guidanceScale: 0 })
  expect(Object.keys(item)).not.toEqual(expect.arrayContaining(['prompt']))
  expect(item).not.toHaveProperty('guidanceScale')
  expect(parameters).toMatch(/^\nSteps: 20/)
})

test('programs that read what A1111 writes find it, the sampler by its name there', () => {
  expect(said({ negativePrompt: 'blurry' }, 1).parameters).toMatch(
    new RegExp(
      '^a red apple\nNegative prompt: blurry\nSteps: 20, Sampler: DPM\\+\\+ 2M Karras, CFG scale: 3\\.5, Seed: 12, Size: 64x32, ' +
        'Model hash: ababababab, Model: emoji-sd, Version: Darkroom \\d',
    ),
  )
  const odd = { schedulerConfig: { use_karras_sigmas: true, lower_order_final: false } }
  expect(said(odd).parameters).toContain('Sampler: DPMSolverMultistepScheduler,')
})
