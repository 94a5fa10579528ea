import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keys } from '@darkroom/proto'
import type { BatchDocument, ItemLine } from '@darkroom/proto'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'

interface Problem {
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly errors?: readonly { line?: number; field?: string; value?: unknown; message: string }[]
}

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({
    DARKROOM_GATEWAY_MAX_JSON_BYTES: '200000',
    DARKROOM_GATEWAY_MAX_STEPS: '200',
    DARKROOM_GATEWAY_MAX_LINE_BYTES: '262144',
  })
})
afterAll(() => gateway[Symbol.asyncDispose]())

async function linesOf(document: BatchDocument): Promise<ItemLine[]> {
  const parts = await Promise.all(document.parts.map(({ key }) => gateway.store.get(key)))
  const text = parts.map((part) => Buffer.from(part!).toString()).join('')
  return text.trimEnd().split('\n').map((line) => JSON.parse(line) as ItemLine) // prettier-ignore
}

describe('a JSON batch', () => {
  test('is stored complete: defaults, seeds and pins', async () => {
    const response = await gateway.post(
      JSON.stringify({
        defaults: { checkpoint: 'emoji-sd', guidanceScale: 3.5, seed: 11 },
        items: [
          { prompt: 'a red apple' },
          { customId: 'faces', checkpoint: 'emoji-ddpm:latest', numImages: 3 },
          { prompt: '日本 😀\n"', scheduler: 'EulerDiscreteScheduler', schedulerConfig: { use_karras_sigmas: true }, seed: 5, numInferenceSteps: 7, width: 80, guidanceScale: 1.25 },
        ],
        metadata: { project: 'fruit' },
      }),
      { headers: { traceparent: '00-0123456789abcdef0123456789abcdef-0123456789abcdef-01' } },
    ) // prettier-ignore
    expect(response.status).toBe(201)
    const { id } = (await response.json()) as { id: string }
    expect(response.headers.get('location')).toBe(`/api/v1/batches/${id}`)
    const document = (await gateway.store.getJson<BatchDocument>(keys.batch(id)))!
    expect(document).toMatchObject({
      id,
      tenant: 'default',
      itemCount: 3,
      imageCount: 5,
      schedulerImages: { PNDMScheduler: 1, DDPMScheduler: 3, EulerDiscreteScheduler: 1 },
      checkpoints: [gateway.pins['emoji-ddpm'], gateway.pins['emoji-sd']],
      metadata: { project: 'fruit' },
      traceparent: '00-0123456789abcdef0123456789abcdef-0123456789abcdef-01',
    })
    const shared = { eta: 0, seed: 11 }
    expect(await linesOf(document)).toEqual([
      { ...shared, index: 0, customId: 'item-0', task: 'text-to-image', checkpoint: gateway.pins['emoji-sd'], prompt: 'a red apple', width: 64, height: 64, scheduler: 'PNDMScheduler', schedulerConfig: {}, numInferenceSteps: 50, guidanceScale: 3.5, numImages: 1 },
      { ...shared, index: 1, customId: 'faces', task: 'unconditional-image-generation', checkpoint: gateway.pins['emoji-ddpm'], prompt: '', width: 32, height: 32, scheduler: 'DDPMScheduler', schedulerConfig: {}, numInferenceSteps: 50, guidanceScale: 0, numImages: 3 },
      { ...shared, index: 2, customId: 'item-2', task: 'text-to-image', checkpoint: gateway.pins['emoji-sd'], prompt: '日本 😀\n"', width: 80, height: 64, scheduler: 'EulerDiscreteScheduler', schedulerConfig: { use_karras_sigmas: true }, numInferenceSteps: 7, guidanceScale: 1.25, seed: 5, numImages: 1 },
    ]) // prettier-ignore
    expect(gateway.coordinator.submitted).toContain(id)
  })

  test('says the format of pictures that are no PNG, in the item or for all', async () => {
    const response = await gateway.post(
      JSON.stringify({
        defaults: { checkpoint: 'emoji-sd', prompt: 'a fox', outputFormat: 'webp' },
        items: [{}, { outputFormat: 'png' }, { outputFormat: 'jpeg' }],
      }),
    )
    const { id } = (await response.json()) as { id: string }
    const lines = await linesOf((await gateway.store.getJson<BatchDocument>(keys.batch(id)))!)
    expect(lines.map(({ outputFormat }) => outputFormat)).toEqual(['webp', undefined, 'jpeg'])
  })

  test('gets random seeds where it names none', async () => {
    const item = { checkpoint: 'emoji-sd', prompt: 'a fox' }
    const lines = await linesOf(await gateway.accept([item, item, item]))
    const seeds = lines.map(({ seed }) => seed)
    expect(new Set(seeds).size).toBe(3)
    expect(seeds.every((seed) => Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32)).toBe(true)
  })

  test('counts its images by the class of their scheduler, whatever an item calls it', async () => {
    const item = { checkpoint: 'emoji-sd', prompt: 'a fox' }
    const { imageCount, schedulerImages } = await gateway.accept([
      { ...item, scheduler: 'DPM++ 2M', numImages: 4 },
      { ...item, scheduler: 'DDIMScheduler' },
      { ...item, scheduler: 'DPMSolverMultistepScheduler', numImages: 2 },
    ])
    expect(imageCount).toBe(7)
    expect(schedulerImages).toEqual({ DPMSolverMultistepScheduler: 6, DDIMScheduler: 1 })
  })

  test('is accepted while the coordinator is away, and shown as queued', async () => {
    await using alone = await startTestGateway()
    await alone.coordinator.stop()
    const response = await alone.post('{"items":[{"checkpoint":"emoji-sd","prompt":"a fox"}]}')
    expect(response.status).toBe(201)
    const answer = (await response.json()) as { id: string }
    expect(answer).toMatchObject({
      state: 'queued',
      itemCount: 1,
      items: { open: 1 },
      schedulers: [{ scheduler: 'PNDMScheduler', images: 0, imageCount: 1, imagesPerSecond: 0, steps: 0, seconds: 0 }],
    })
    const status = await fetch(`${alone.url}/api/v1/batches/${answer.id}`)
    expect([status.status, status.headers.get('retry-after')]).toEqual([503, '2'])
    expect(await status.json()).toMatchObject({ code: 'COORDINATOR_UNAVAILABLE' })
    // Back again, it has not listed the bucket yet: asking for the batch tells it.
    await alone.coordinator.start()
    await expect
      .poll(async () => (await fetch(`${alone.url}/api/v1/batches/${answer.id}`)).status, { timeout: 10_000 })
      .toBe(200)
    expect(alone.coordinator.submitted).toEqual([answer.id])
  })
})

const apple = { checkpoint: 'emoji-sd', prompt: 'a red apple' }

/** Items, the field at fault, and a word of the message. */
const BAD_ITEMS: readonly (readonly [string, unknown, string, RegExp])[] = [
  ['an unknown field', { ...apple, promt: 'x' }, 'promt', /did you mean "prompt"/],
  ['a __proto__', JSON.parse('{"checkpoint":"emoji-sd","prompt":"x","__proto__":{"seed":1}}'), '__proto__', /unknown field/],
  ['an unknown scheduler', { ...apple, scheduler: 'EulerDiscret' }, 'scheduler', /did you mean "EulerDiscreteScheduler"/],
  ['an unknown task', { ...apple, task: 'text2image' }, 'task', /did you mean "text-to-image"/],
  ['a task that the checkpoint is not for', { ...apple, task: 'unconditional-image-generation' }, 'task', /text-to-image/],
  ['an unknown checkpoint', { ...apple, checkpoint: 'emoji-ds' }, 'checkpoint', /did you mean "emoji-sd"/],
  ['an unknown tag', { ...apple, checkpoint: 'emoji-sd:v9' }, 'checkpoint', /no checkpoint emoji-sd:v9/],
  ['an unknown pin', { ...apple, checkpoint: `emoji-sd@sha256:${'0'.repeat(64)}` }, 'checkpoint', /no checkpoint/],
  ['a reference that climbs out', { ...apple, checkpoint: '../../batches' }, 'checkpoint', /names no checkpoint/],
  ['no checkpoint', { prompt: 'x' }, 'checkpoint', /name a checkpoint/],
  ['no steps', { ...apple, numInferenceSteps: 0 }, 'numInferenceSteps', /from 1 to 200/],
  ['more steps than the gateway allows', { ...apple, numInferenceSteps: 201 }, 'numInferenceSteps', /from 1 to 200/],
  ['half a step', { ...apple, numInferenceSteps: 2.5 }, 'numInferenceSteps', /an integer/],
  ['more steps than the scheduler was trained for', { ...apple, scheduler: 'DDIMScheduler', numInferenceSteps: 60, schedulerConfig: { num_train_timesteps: 50 } }, 'numInferenceSteps', /50/],
  ['negative guidance', { ...apple, guidanceScale: -1 }, 'guidanceScale', /from 0 to 50/],
  ['guidance as text', { ...apple, guidanceScale: '3' }, 'guidanceScale', /a number/],
  ['an endless guidance', JSON.parse('{"checkpoint":"emoji-sd","prompt":"x","guidanceScale":1e999}'), 'guidanceScale', /a number/],
  ['an eta above 1', { ...apple, eta: 1.5 }, 'eta', /from 0 to 1/],
  ['a negative seed', { ...apple, seed: -1 }, 'seed', /from 0/],
  ['a seed above 2^53', JSON.parse('{"checkpoint":"emoji-sd","prompt":"x","seed":9007199254740993}'), 'seed', /from 0 to 9007199254740991/],
  ['a seed whose images go above 2^53', { ...apple, seed: Number.MAX_SAFE_INTEGER, numImages: 2 }, 'seed', /at most 9007199254740990/],
  ['an unknown format', { ...apple, outputFormat: 'jpg' }, 'outputFormat', /one of png, jpeg, webp.*did you mean "jpeg"/],
  ['no images', { ...apple, numImages: 0 }, 'numImages', /from 1/],
  ['a width that the checkpoint cannot do', { ...apple, width: 65 }, 'width', /multiple of 16: 64 or 80/],
  ['a height below the least', { ...apple, height: 8 }, 'height', /multiple of 16: 16 or 32/],
  ['a huge width', { ...apple, width: 4096 }, 'width', /from 8 to 2048/],
  ['an empty prompt', { ...apple, prompt: ' \n' }, 'prompt', /is empty/],
  ['no prompt', { checkpoint: 'emoji-sd' }, 'prompt', /is required/],
  ['a prompt of 100 kB', { ...apple, prompt: 'x'.repeat(100_000) }, 'prompt', /100000 bytes.*at most 8192/],
  ['a prompt of 8193 bytes in other letters', { ...apple, prompt: '日'.repeat(2731) }, 'prompt', /8193 bytes/],
  ['half of a surrogate pair in a prompt', { ...apple, prompt: '\ud83d' }, 'prompt', /surrogate/],
  ['half of a surrogate pair in a name', { ...apple, customId: '\ud83d' }, 'customId', /surrogate/],
  ['a prompt where none is taken', { checkpoint: 'emoji-ddpm', prompt: 'x' }, 'prompt', /takes no prompt/],
  ['an empty name', { ...apple, customId: '' }, 'customId', /1 to 128 characters/],
  ['an unknown key of the scheduler', { ...apple, schedulerConfig: { betaStart: 0.1 } }, 'schedulerConfig.betaStart', /did you mean "beta_start"/],
  ['a value that the key cannot have', { ...apple, schedulerConfig: { beta_schedule: 'square' } }, 'schedulerConfig.beta_schedule', /one of/],
  ['a config that is none', { ...apple, schedulerConfig: [] }, 'schedulerConfig', /an object/],
  ['a config nested deep', { ...apple, schedulerConfig: { trained_betas: [[[]]] } }, 'schedulerConfig.trained_betas', /list of numbers/],
] // prettier-ignore

describe('nothing is stored of a batch with', () => {
  test.for(BAD_ITEMS)('%s', async ([, item, field, message]) => {
    const before = await gateway.storedKeys()
    for (const type of ['json', 'ndjson'] as const) {
      const body =
        type === 'json'
          ? JSON.stringify({ items: [apple, item] })
          : `${JSON.stringify(apple)}\n${JSON.stringify(item)}\n`
      const response = await gateway.post(body, { type: `application/${type === 'json' ? 'json' : 'x-ndjson'}` })
      expect(response.headers.get('content-type')).toMatch('application/problem+json')
      const problem = (await response.json()) as Problem
      expect(problem).toMatchObject({ status: 400, code: 'INVALID_REQUEST' })
      const place = type === 'json' ? { field: `items[1].${field}` } : { line: 2, field }
      expect(problem.errors).toEqual([expect.objectContaining({ ...place, message: expect.stringMatching(message) })])
    }
    expect(await gateway.storedKeys()).toEqual(before)
  })

  /** Whole bodies, their type, the status, and where the fault is said to be. */
  const BAD_BODIES: readonly (readonly [string, string, string, number, object])[] = [
    ['no items', '{"items":[]}', 'application/json', 400, { field: 'items' }],
    ['no list of items', '{"item":[]}', 'application/json', 400, { field: 'item' }],
    ['items that are no list', '{"items":{}}', 'application/json', 400, { field: 'items' }],
    ['an item that is no object', '{"items":["a red apple"]}', 'application/json', 400, { field: 'items[0]' }],
    ['no object around it', '[]', 'application/json', 400, { message: expect.stringMatching('JSON object') }],
    ['no body', '', 'application/json', 400, { message: expect.stringMatching('JSON object') }],
    ['a body cut off', '{"items":[{"prompt":"a', 'application/json', 400, { message: expect.stringMatching('cut off') }],
    ['a body nested deep', `{"items":${'['.repeat(5000)}`, 'application/json', 400, { message: expect.stringMatching('nested deeper') }],
    ['a wrong default', '{"defaults":{"width":"wide"},"items":[{}]}', 'application/json', 400, { field: 'defaults.width' }],
    ['a default that is none', '{"defaults":{"customId":"x"},"items":[{}]}', 'application/json', 400, { field: 'defaults.customId' }],
    ['metadata that are no strings', '{"metadata":{"a":1},"items":[{}]}', 'application/json', 400, { field: 'metadata' }],
    ['too much metadata', JSON.stringify({ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, ''])), items: [{}] }), 'application/json', 400, { field: 'metadata' }],
    ['metadata with a long name', JSON.stringify({ metadata: { ['k'.repeat(65)]: '' }, items: [{}] }), 'application/json', 400, { field: 'metadata' }],
    ['the same name twice', JSON.stringify({ items: [{ ...apple, customId: 'a' }, { ...apple, customId: 'a' }] }), 'application/json', 400, { field: 'items[1].customId', value: 'a' }],
    ['a name that another item has by default', JSON.stringify({ items: [{ ...apple, customId: 'item-1' }, apple] }), 'application/json', 400, { field: 'items[1].customId', value: 'item-1' }],
    ['no lines', '', 'application/x-ndjson', 400, { field: 'items' }],
    ['only blank lines', '\n \n\r\n', 'application/x-ndjson', 400, { field: 'items' }],
    ['a last line cut off', `${JSON.stringify(apple)}\n{"prompt":"a`, 'application/x-ndjson', 400, { line: 2, message: expect.stringMatching('cut off') }],
    ['a line that is no object', '"a red apple"', 'application/x-ndjson', 400, { line: 1, message: expect.stringMatching('JSON object') }],
    ['a line nested deep', `{"prompt":${'['.repeat(20_000)}${']'.repeat(20_000)}}`, 'application/x-ndjson', 400, { line: 1, field: 'prompt', value: '[…]' }],
    ['a line of 300 kB', `${JSON.stringify(apple)}\n{"prompt":"${'x'.repeat(300_000)}"}\n`, 'application/x-ndjson', 400, { line: 2, message: expect.stringMatching('longer than 262144 bytes') }],
  ] // prettier-ignore

  test.for(BAD_BODIES)('%s', async ([, body, type, status, error]) => {
    const before = await gateway.storedKeys()
    const response = await gateway.post(body, { type })
    const problem = (await response.json()) as Problem
    expect(problem).toMatchObject({ status, code: 'INVALID_REQUEST' })
    expect(problem.errors?.[0]).toMatchObject(error)
    expect(await gateway.storedKeys()).toEqual(before)
  })

  test('a wrong content type', async () => {
    for (const type of ['text/plain', 'application/xml', 'multipart/form-data']) {
      const response = await gateway.post('{"items":[]}', { type })
      expect(response.status).toBe(415)
      expect(await response.json()).toMatchObject({
        detail: expect.stringMatching('want application/json or application/x-ndjson'),
      })
    }
    const packed = await gateway.post('{}', { headers: { 'content-encoding': 'gzip' } })
    expect(packed.status).toBe(415)
  })

  test('a JSON body above the limit', async () => {
    const response = await gateway.post(JSON.stringify({ items: Array.from({ length: 5000 }, () => apple) }))
    expect(response.status).toBe(413)
    expect(await response.json()).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      detail: expect.stringMatching('x-ndjson'),
    })
  })

  test('parameters in its query that are unknown, out of range or not for JSON', async () => {
    const line = JSON.stringify({ prompt: 'x' })
    const fields = async (query: string, type: string): Promise<unknown> => {
      const response = await gateway.post(line, { query, type })
      expect(response.status).toBe(400)
      return ((await response.json()) as Problem).errors?.[0]?.field
    }
    expect(await fields('?checkpint=emoji-sd', 'application/x-ndjson')).toBe('checkpint')
    expect(await fields('?checkpoint=emoji-sd&width=wide', 'application/x-ndjson')).toBe('width')
    expect(await fields('?checkpoint=emoji-sd', 'application/json')).toBeUndefined()
  })
})

test('several problems are named at once, in the order of the body', async () => {
  const response = await gateway.post(
    JSON.stringify({ items: [{ ...apple, seed: -1, width: 7 }, apple, { ...apple, eta: 2 }] }),
  )
  const { errors } = (await response.json()) as Problem
  expect(errors!.map(({ field }) => field)).toEqual(['items[0].seed', 'items[0].width', 'items[2].eta'])
})

test('the scheduler and the checkpoint of an item without either come from the defaults of the gateway', async () => {
  await using other = await startTestGateway({ DARKROOM_GATEWAY_DEFAULT_CHECKPOINT: 'emoji-ddpm' })
  const document = await other.accept([{}])
  expect(document.checkpoints).toEqual([other.pins['emoji-ddpm']])
})

test('while the object store fails, a batch is refused with 503 and nothing of it stays', async () => {
  await using broken = await startTestGateway()
  const first = await broken.accept([apple])
  broken.s3.faults.settings = { ...broken.s3.faults.settings, breakBeforeRate: 1 }
  const response = await broken.post(JSON.stringify({ items: [apple] }))
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '2'])
  broken.s3.faults.settings = { ...broken.s3.faults.settings, breakBeforeRate: 0 }
  expect(await broken.storedKeys()).toEqual([keys.batch(first.id), first.parts[0]!.key])
})
