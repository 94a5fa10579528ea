import { readFileSync } from 'node:fs'
import path from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestFarm } from './farm.harness.ts'
import type { TestFarm } from './farm.harness.ts'

const CAT = path.resolve(import.meta.dirname, '../../deploy/local/examples/cat.png')

let farm: TestFarm
beforeAll(async () => {
  farm = await startTestFarm({ workers: 1 })
}, 60_000)
afterAll(() => farm?.[Symbol.asyncDispose]())

async function post(route: string, body: object): Promise<Response> {
  return fetch(farm.farm.gatewayUrl + route, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}

/** The picture of the same request as an item of a batch. */
async function native(item: object): Promise<Buffer> {
  const { id } = await farm.gateway.submitJson({ items: [{ checkpoint: 'emoji-sd', ...item }] })
  await farm.end(id)
  const { items } = (await (await farm.gateway.download(`/api/v1/batches/${id}/items`)).json()) as {
    items: { images: { name: string }[] }[]
  }
  return pixelsOf(await farm.picture(id, items[0]!.images[0]!.name))
}

async function pixelsOf(picture: Buffer): Promise<Buffer> {
  return sharp(picture).raw().toBuffer()
}

interface A1111Answer {
  readonly images: readonly string[]
  readonly parameters: object
  readonly info: string
}

test("Hugging Face's inference gives the bytes of a picture", async () => {
  const parameters = { num_inference_steps: 5, guidance_scale: 3.5, seed: 7, scheduler: 'EulerDiscreteScheduler' }
  const response = await post('/models/emoji-sd', { inputs: 'a red apple', parameters })
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'image/png'])
  const expected = await native({
    prompt: 'a red apple',
    numInferenceSteps: 5,
    guidanceScale: 3.5,
    seed: 7,
    scheduler: 'EulerDiscreteScheduler',
  })
  expect(await pixelsOf(Buffer.from(await response.arrayBuffer()))).toEqual(expected)
  const wrong = await post('/models/emoji-sd', { inputs: 'a red apple', parameters: { steps: 5 } })
  expect(await wrong.json()).toMatchObject({ status: 400, errors: [{ field: 'steps' }] })
})

test("A1111's txt2img renders with its names of things, and says what it was made with", async () => {
  const body = {
    prompt: 'a panda',
    negative_prompt: 'a cat',
    steps: 6,
    cfg_scale: 3,
    seed: 5,
    sampler_name: 'DPM++ 2M',
    scheduler: 'Karras',
    batch_size: 2,
    n_iter: 1,
    restore_faces: false,
    tiling: null,
    override_settings: { sd_model_checkpoint: 'emoji-sd' },
  }
  const answer = (await (await post('/sdapi/v1/txt2img', body)).json()) as A1111Answer
  expect(answer.images).toHaveLength(2)
  expect(answer.parameters).toEqual(body)
  expect(JSON.parse(answer.info)).toMatchObject({ all_seeds: [5, 6], seed: 5, width: 64 })
  const expected = await native({
    prompt: 'a panda',
    negativePrompt: 'a cat',
    numInferenceSteps: 6,
    guidanceScale: 3,
    seed: 5,
    scheduler: 'DPM++ 2M Karras',
  })
  expect(await pixelsOf(Buffer.from(answer.images[0]!, 'base64'))).toEqual(expected)
})

test("A1111's img2img starts from a picture", async () => {
  const answer = (await (
    await post('/sdapi/v1/img2img', {
      prompt: 'a panda',
      init_images: [readFileSync(CAT).toString('base64')],
      denoising_strength: 0.5,
      steps: 10,
      cfg_scale: 3,
      seed: 1,
      override_settings: { sd_model_checkpoint: 'emoji-sd' },
    })
  ).json()) as A1111Answer
  const expected = await native({
    task: 'image-to-image',
    prompt: 'a panda',
    image: `data:image/png;base64,${readFileSync(CAT).toString('base64')}`,
    strength: 0.5,
    numInferenceSteps: 10,
    guidanceScale: 3,
    seed: 1,
  })
  expect(await pixelsOf(Buffer.from(answer.images[0]!, 'base64'))).toEqual(expected)
})

test('what A1111 would do and the farm does not is refused, and its lists are there', async () => {
  const refused = await post('/sdapi/v1/txt2img', { prompt: 'x', enable_hr: true })
  expect(await refused.json()).toMatchObject({ status: 400, errors: [{ field: 'enable_hr', value: true }] })
  const wrong = await post('/sdapi/v1/txt2img', { prompt: 'x', steps: -1, sampler_name: 'no such' })
  expect(await wrong.json()).toMatchObject({ status: 400 })
  const list = async (name: string) => (await fetch(`${farm.farm.gatewayUrl}/sdapi/v1/${name}`)).json()
  expect(await list('samplers')).toContainEqual({ name: 'Euler a', aliases: ['euler_ancestral'], options: {} })
  expect(await list('schedulers')).toContainEqual({ name: 'karras', label: 'Karras' })
  expect(await list('sd-models')).toContainEqual(expect.objectContaining({ model_name: 'emoji-sd' }))
  expect(await list('progress')).toMatchObject({ progress: 0, current_image: null })
})
