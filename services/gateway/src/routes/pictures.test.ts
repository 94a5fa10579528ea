import { createHash, randomBytes } from 'node:crypto'
import path from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PICTURE_LIMITS } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { BatchDocument, ItemLine } from '@darkroom/proto'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'

interface Problem {
  readonly code: string
  readonly detail: string
  readonly errors?: readonly { line?: number; field?: string; value?: unknown; message: string }[]
}

const FAMILIES = path.resolve(import.meta.dirname, '../../../../test/golden/families')

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
  for (const name of ['tiny-sd-depth', 'tiny-sd-inpaint', 'tiny-sdxl', 'tiny-sdxl-refiner'])
    await gateway.push(path.join(FAMILIES, name))
})
afterAll(() => gateway[Symbol.asyncDispose]())

/** A picture that no other test has. */
function picture(width = 100, height = 70, format: 'png' | 'jpeg' | 'webp' = 'png'): Promise<Buffer> {
  const [r, g, b] = randomBytes(3)
  return sharp({ create: { width, height, channels: 3, background: { r: r!, g: g!, b: b! } } })
    .toFormat(format)
    .toBuffer()
}

const keyOf = (bytes: Buffer): string => keys.inputPicture('default', createHash('sha256').update(bytes).digest('hex'))
const dataUrl = (bytes: Buffer, type = 'png'): string => `data:image/${type};base64,${bytes.toString('base64')}`

function upload(body: Buffer | string, type = 'application/octet-stream'): Promise<Response> {
  const bytes = typeof body === 'string' ? body : new Uint8Array(body)
  return fetch(`${gateway.url}/api/v1/pictures`, { method: 'POST', body: bytes, headers: { 'content-type': type } })
}

async function uploaded(bytes: Buffer): Promise<string> {
  const response = await upload(bytes)
  expect(response.status).toBe(201)
  return ((await response.json()) as { key: string }).key
}

async function lineOf(item: object): Promise<ItemLine> {
  const document: BatchDocument = await gateway.accept([item])
  return JSON.parse(Buffer.from((await gateway.store.get(document.parts[0]!.key))!).toString()) as ItemLine
}

async function problemOf(item: object): Promise<NonNullable<Problem['errors']>[number]> {
  const response = await gateway.post(JSON.stringify({ items: [item] }))
  const { code, errors } = (await response.json()) as Problem
  expect([response.status, code, errors?.length]).toEqual([400, 'INVALID_REQUEST', 1])
  return errors![0]!
}

const panda = { checkpoint: 'emoji-sd', task: 'image-to-image', prompt: 'a panda', seed: 1 }

describe('an uploaded picture', () => {
  test.for(['png', 'jpeg', 'webp'] as const)('is stored by its content, %s as it is', async (format) => {
    const bytes = await picture(100, 70, format)
    const response = await upload(bytes, 'application/x-www-form-urlencoded')
    expect(response.status).toBe(201)
    const key = keyOf(bytes)
    expect(await response.json()).toEqual({
      key,
      contentType: `image/${format}`,
      width: 100,
      height: 70,
      bytes: bytes.length,
    })
    const stored = (await gateway.store.getStream(key))!
    expect(stored.contentType).toBe(`image/${format}`)
    stored.body.destroy()
    expect(bytes.equals((await gateway.store.get(key))!)).toBe(true)
  })

  test('has its size upright', async () => {
    const turned = await sharp(await picture(40, 20))
      .jpeg()
      .withMetadata({ orientation: 6 })
      .toBuffer()
    expect(await (await upload(turned)).json()).toMatchObject({ width: 20, height: 40 })
  })

  test('is refused where it is none, moves, is too large or is missing, and nothing is stored', async () => {
    const frames = await sharp(await picture(8, 16))
      .webp()
      .toBuffer()
    const moving = await sharp([frames, await picture(8, 16)], { join: { animated: true } })
      .webp()
      .toBuffer()
    const wide = await picture(5000, 4000)
    const gif = await sharp(await picture(8, 8))
      .gif()
      .toBuffer()
    for (const [body, status, code, detail] of [
      [Buffer.from('no picture'), 415, 'UNSUPPORTED_MEDIA_TYPE', /PNG, JPEG or WebP/],
      [gif, 415, 'UNSUPPORTED_MEDIA_TYPE', /PNG, JPEG or WebP/],
      [moving, 400, 'INVALID_REQUEST', /2 frames/],
      [wide, 413, 'PAYLOAD_TOO_LARGE', /5000x4000/],
      [Buffer.alloc(PICTURE_LIMITS.bytes + 1), 413, 'PAYLOAD_TOO_LARGE', /longer than 20971520 bytes/],
      [Buffer.alloc(0), 400, 'INVALID_REQUEST', /empty/],
    ] as const) {
      const response = await upload(body)
      const problem = (await response.json()) as Problem
      expect([response.status, problem.code]).toEqual([status, code])
      expect(problem.detail).toMatch(detail)
      expect(await gateway.store.head(keyOf(body))).toBeNull()
    }
  })

  test('without a length is refused where it passes the limit, not at its end', async () => {
    const tooMuch = new Uint8Array(PICTURE_LIMITS.bytes + 1)
    const response = await fetch(`${gateway.url}/api/v1/pictures`, {
      method: 'POST',
      duplex: 'half',
      // Never closed.
      body: new ReadableStream({ start: (controller) => controller.enqueue(tooMuch) }),
    })
    expect(response.status).toBe(413)
  })
})

describe('an item that starts from a picture', () => {
  test('may name an upload; its strength is written down, and its size is the picture’s', async () => {
    const key = await uploaded(await picture(100, 70))
    expect(await lineOf({ ...panda, image: key })).toMatchObject({ image: key, strength: 0.8, width: 96, height: 64 })
    const given = { image: key, strength: 0.25, width: 64, height: 32, numInferenceSteps: 8 }
    expect(await lineOf({ ...panda, ...given })).toMatchObject(given)
  })

  test('may bring it as a data URL, which is stored before the batch is', async () => {
    const bytes = await picture(64, 64, 'jpeg')
    const line = await lineOf({ ...panda, image: dataUrl(bytes, 'jpeg') })
    expect(line.image).toBe(keyOf(bytes))
    expect(bytes.equals((await gateway.store.get(line.image!))!)).toBe(true)
    const ndjson = await gateway.post(`${JSON.stringify({ ...panda, image: dataUrl(bytes, 'jpeg') })}\n`, {
      type: 'application/x-ndjson',
    })
    expect(ndjson.status).toBe(201)
  })

  test('may get it from the defaults of its batch, where its task takes it', async () => {
    const bytes = await picture()
    const response = await gateway.post(
      JSON.stringify({
        defaults: {
          checkpoint: 'emoji-sd',
          prompt: 'a panda',
          image: dataUrl(bytes),
          task: 'image-to-image',
          strength: 0.5,
        },
        items: [{}, { task: 'text-to-image' }],
      }),
    )
    expect(response.status).toBe(201)
    const { id } = (await response.json()) as { id: string }
    const document = (await gateway.store.getJson<BatchDocument>(keys.batch(id)))!
    const text = Buffer.from((await gateway.store.get(document.parts[0]!.key))!).toString()
    const [first, second] = text.trimEnd().split('\n').map((line) => JSON.parse(line) as ItemLine) // prettier-ignore
    expect(first).toMatchObject({ task: 'image-to-image', image: keyOf(bytes), strength: 0.5 })
    expect(second).toMatchObject({ task: 'text-to-image' })
    expect(second).not.toHaveProperty('image')
    expect(second).not.toHaveProperty('strength')
  })

  test('inpaints at the size that the checkpoint was trained for, whole or around the mask', async () => {
    const [image, maskImage] = [await uploaded(await picture(120, 90)), await uploaded(await picture(120, 90))]
    const item = { ...panda, task: 'inpainting', image, maskImage, paddingMaskCrop: 8 }
    expect(await lineOf(item)).toMatchObject({
      image,
      maskImage,
      paddingMaskCrop: 8,
      width: 64,
      height: 64,
      strength: 1,
    })
    const other = await uploaded(await picture(64, 64))
    const problem = await problemOf({ ...item, maskImage: other })
    expect(problem).toMatchObject({ field: 'items[0].maskImage', message: expect.stringMatching('64x64.*120x90') })
  })

  test('brings its depth map where the checkpoint estimates none', async () => {
    const item = { checkpoint: 'tiny-sd-depth', prompt: 'a panda', image: await uploaded(await picture(32, 32)) }
    const depthMap = await uploaded(await picture(32, 32))
    expect(await lineOf({ ...item, depthMap })).toMatchObject({ task: 'depth-to-image', depthMap })
  })

  const BAD: readonly (readonly [string, object, string, RegExp])[] = [
    ['no picture', {}, 'image', /is required/],
    ['no mask', { task: 'inpainting', image: 'upload' }, 'maskImage', /is required: white/],
    ['an address', { image: 'https://example.org/cat.png' }, 'image', /not fetched from addresses.*POST \/api\/v1\/pictures/],
    ['a path', { image: 'file:///etc/passwd' }, 'image', /not fetched from addresses/],
    ['a key of something else', { image: 'checkpoints/tags/emoji-sd/latest.json' }, 'image', /no key of an upload/],
    ['a key that climbs', { image: `inputs/default/sha256/../../batches/${'0'.repeat(40)}` }, 'image', /no key of an upload/],
    ['a key that nobody uploaded', { image: keys.inputPicture('default', '0'.repeat(64)) }, 'image', /no such picture/],
    ['a data URL of text', { image: 'data:text/plain;base64,eA==' }, 'image', /data:image\/png/],
    ['a data URL that is no picture', { image: 'data:image/png;base64,eHl6' }, 'image', /PNG, JPEG or WebP/],
    ['a data URL cut off', { image: 'data:image/png;base64,eHl6a' }, 'image', /base64 to its end/],
    ['a data URL with other letters', { image: 'data:image/png;base64,e!l6' }, 'image', /base64 to its end/],
    ['no strength', { image: 'upload', strength: 0 }, 'strength', /^want a number more than 0, at most 1$/],
    ['a strength above 1', { image: 'upload', strength: 1.5 }, 'strength', /^want a number more than 0, at most 1$/],
    ['a strength that leaves no step', { image: 'upload', strength: 0.1, numInferenceSteps: 5, scheduler: 'DDIMScheduler' }, 'strength', /leaves none of the/],
    ['a scheduler that cannot start amid its schedule', { image: 'upload', scheduler: 'IPNDMScheduler' }, 'scheduler', /cannot start from a picture/],
    ['an unusable depth map where none is taken', { image: 'upload', depthMap: 'data:image/png;base64,eHl6' }, 'depthMap', /takes no depthMap/],
    ['a mask where none is taken', { image: 'upload', maskImage: 'upload' }, 'maskImage', /takes no maskImage.*set task to inpainting/],
    ['a task that takes none', { task: 'text-to-image', image: 'upload' }, 'image', /set task to image-to-image or inpainting/],
  ] // prettier-ignore
  test.for(BAD)('is refused with %s', async ([, item, field, message]) => {
    const key = await uploaded(await picture())
    const given = Object.entries(item).map(([name, value]) => [name, value === 'upload' ? key : value] as const)
    const before = await gateway.storedKeys()
    expect(await problemOf({ ...panda, ...Object.fromEntries(given) })).toMatchObject({
      field: `items[0].${field}`,
      message: expect.stringMatching(message),
    })
    expect(await gateway.storedKeys()).toEqual(before)
  })

  test('is refused with every problem at once, each with the value that was given', async () => {
    const [image, maskImage] = [dataUrl(await picture(120, 90)), dataUrl(await picture(64, 64))]
    const item = { ...panda, prompt: '', task: 'inpainting', image, maskImage, paddingMaskCrop: 8, depthMap: 'none' }
    const response = await gateway.post(JSON.stringify({ items: [item] }))
    const { errors } = (await response.json()) as Problem
    expect(errors).toMatchObject([
      { field: 'items[0].depthMap', value: 'none', message: expect.stringMatching('takes no depthMap') },
      { field: 'items[0].maskImage', value: `${maskImage.slice(0, 80)}…` },
      { field: 'items[0].prompt', value: '' },
    ])
  })

  test('has its picture stored only where it has no problem itself, and none was before it', async () => {
    const item = async (fields: object = {}): Promise<{ item: object; key: string }> => {
      const bytes = await picture()
      return { item: { ...panda, image: dataUrl(bytes), ...fields }, key: keyOf(bytes) }
    }
    const [fine, bad, after] = [await item(), await item({ depthMap: 'none' }), await item()]
    const ofDefaults = await picture()
    const defaults = { image: dataUrl(ofDefaults) }
    const response = await gateway.post(
      JSON.stringify({ defaults, items: [fine, bad, after].map((one) => one.item).concat(panda) }),
    )
    expect([response.status, ((await response.json()) as Problem).errors?.length]).toEqual([400, 1])
    const keysOfAll = [fine.key, bad.key, after.key, keyOf(ofDefaults)]
    const found = await Promise.all(keysOfAll.map(async (key) => (await gateway.store.head(key)) !== null))
    expect(found).toEqual([true, false, false, false])
  })

  test('whose picture is larger than the gateway renders is told so', async () => {
    await using small = await startTestGateway({ DARKROOM_GATEWAY_MAX_SIDE: '512' })
    const image = dataUrl(await picture(640, 64))
    const response = await small.post(JSON.stringify({ items: [{ ...panda, image }] }))
    const { errors } = (await response.json()) as Problem
    expect(errors).toMatchObject([
      { field: 'items[0].width', value: 640, message: expect.stringMatching('at most 512') },
    ])
  })
})

describe('a schedule of the caller’s own', () => {
  const apple = { checkpoint: 'emoji-sd', prompt: 'a red apple', scheduler: 'EulerDiscreteScheduler' }

  test('is kept, and its steps are counted', async () => {
    const timesteps = [900, 600, 300, 1]
    expect(await lineOf({ ...apple, timesteps })).toMatchObject({ timesteps, numInferenceSteps: 4 })
    const sigmas = [14, 5, 1, 0]
    expect(await lineOf({ ...apple, sigmas })).toMatchObject({ sigmas, numInferenceSteps: 3 })
  })

  test('is refused where it says two things, rises, or is for another scheduler', async () => {
    for (const [item, field, message] of [
      [{ timesteps: [9, 5], numInferenceSteps: 2 }, 'timesteps', /leave one of them out/],
      [{ timesteps: [9, 5], sigmas: [2, 1] }, 'sigmas', /leave one of them out/],
      [{ scheduler: 'DDPMScheduler', timesteps: [1, 500] }, 'timesteps', /descending|high to low|descend/],
      [{ scheduler: 'DDIMScheduler', timesteps: [500, 1] }, 'timesteps', /no schedule of its own/],
      [{ timesteps: [] }, 'timesteps', /a list of 1 to 1000 numbers/],
    ] as const) {
      expect(await problemOf({ ...apple, ...item })).toMatchObject({
        field: `items[0].${field}`,
        message: expect.stringMatching(message),
      })
    }
  })
})

test('samplers of A1111 and ComfyUI stand for a class and its config, which an item’s own keys override', async () => {
  const apple = { checkpoint: 'emoji-sd', prompt: 'a red apple', numInferenceSteps: 8 }
  expect(await lineOf({ ...apple, scheduler: 'DPM++ 2M Karras' })).toMatchObject({
    scheduler: 'DPMSolverMultistepScheduler',
    schedulerConfig: { use_karras_sigmas: true },
  })
  const overridden = { scheduler: 'dpmpp_2m_sde', schedulerConfig: { solver_order: 3, algorithm_type: 'dpmsolver++' } }
  expect(await lineOf({ ...apple, ...overridden })).toMatchObject({
    scheduler: 'DPMSolverMultistepScheduler',
    schedulerConfig: { solver_order: 3, algorithm_type: 'dpmsolver++' },
  })
  expect(await problemOf({ ...apple, scheduler: 'DPM++ 2M Karas' })).toMatchObject({
    field: 'items[0].scheduler',
    message: expect.stringMatching(/did you mean "DPM\+\+ 2M Karras"/),
  })
})

describe('a refiner', () => {
  const base = { checkpoint: 'tiny-sdxl', prompt: 'a panda', numInferenceSteps: 10 }

  test('is kept as a pin, and the batch names it', async () => {
    const document = await gateway.accept([{ ...base, refiner: 'tiny-sdxl-refiner', denoisingEnd: 0.8 }])
    const line = JSON.parse(Buffer.from((await gateway.store.get(document.parts[0]!.key))!).toString()) as ItemLine
    expect(line).toMatchObject({ denoisingEnd: 0.8, refiner: expect.stringMatching(/^tiny-sdxl-refiner@sha256:/) })
    expect(document.checkpoints).toEqual([line.checkpoint, line.refiner!].toSorted((a, b) => a.localeCompare(b)))
  })

  test('is refused alone, unknown, of another family, or where nothing is left for it', async () => {
    for (const [item, field, message] of [
      [{ refiner: 'tiny-sdxl-refiner' }, 'refiner', /denoisingEnd too/],
      [{ denoisingEnd: 0.8 }, 'denoisingEnd', /name one in refiner/],
      [{ refiner: 'tiny-sdxl-refine', denoisingEnd: 0.8 }, 'refiner', /did you mean "tiny-sdxl-refiner"/],
      [{ refiner: 'emoji-sd', denoisingEnd: 0.8 }, 'refiner', /cannot go on from tiny-sdxl/],
      [{ refiner: 'tiny-sdxl-refiner', denoisingEnd: 1 }, 'denoisingEnd', /more than 0, less than 1/],
      [
        { checkpoint: 'emoji-sd', refiner: 'tiny-sdxl-refiner', denoisingEnd: 0.8 },
        'refiner',
        /no Stable Diffusion XL/,
      ],
    ] as const) {
      expect(await problemOf({ ...base, ...item })).toMatchObject({
        field: `items[0].${field}`,
        message: expect.stringMatching(message),
      })
    }
  })
})

test('the safety checker stays on but for tenants that the operator lists', async () => {
  const item = { checkpoint: 'emoji-sd', prompt: 'a red apple' }
  expect(await lineOf({ ...item, safetyChecker: 'on' })).not.toHaveProperty('safetyChecker')
  expect(await problemOf({ ...item, safetyChecker: 'off' })).toMatchObject({
    field: 'items[0].safetyChecker',
    message: expect.stringMatching('maySkipSafetyChecker'),
  })
  await using free = await startTestGateway({}, { tenants: { default: { maySkipSafetyChecker: true } } })
  const document = await free.accept([{ ...item, safetyChecker: 'off' }])
  const text = Buffer.from((await free.store.get(document.parts[0]!.key))!).toString()
  expect(JSON.parse(text)).toMatchObject({ safetyChecker: 'off' })
})

test('what an item is given goes into its line, and is shown with it', async () => {
  const given = {
    negativePrompt: '',
    guidanceRescale: 0.5,
    previewEvery: 5,
    previewMode: 'decode',
    originalSize: [64, 64],
    eta: 0.5,
  }
  const document = await gateway.accept([{ checkpoint: 'emoji-sd', prompt: 'a red apple', ...given }])
  const text = Buffer.from((await gateway.store.get(document.parts[0]!.key))!).toString()
  expect(JSON.parse(text)).toMatchObject(given)
  const page = await fetch(`${gateway.url}/api/v1/batches/${document.id}/items`)
  expect(await page.json()).toMatchObject({ items: [{ request: given }] })
})
