import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import OpenAiNew from 'openai'
import OpenAiOld from 'openai-6'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestFarm } from './farm.harness.ts'
import type { TestFarm } from './farm.harness.ts'

const EXAMPLES = path.resolve(import.meta.dirname, '../../deploy/local/examples')

let farm: TestFarm
let folder: string
beforeAll(async () => {
  farm = await startTestFarm({ workers: 1 })
  folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-openai-'))
}, 60_000)
afterAll(async () => {
  await farm?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** What the types of OpenAI's own client do not know: parameters of the farm. */
const STEPS = { num_inference_steps: 4, guidance_scale: 3.5 } as object

describe.each([
  ['openai 7', OpenAiNew],
  ['openai 6', OpenAiOld as unknown as typeof OpenAiNew],
])('the official client, unmodified: %s', (_, OpenAI) => {
  const client = () => new OpenAI({ apiKey: 'any', baseURL: `${farm.farm.gatewayUrl}/v1`, maxRetries: 0 })
  const upload = async (lines: readonly object[]) => {
    const file = path.join(folder, 'requests.jsonl')
    writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    return client().files.create({ file: createReadStream(file), purpose: 'batch' })
  }
  const line = (id: string, body: object = {}) => ({
    custom_id: id,
    method: 'POST',
    url: '/v1/images/generations',
    body: { model: 'emoji-sd', prompt: 'a red apple', seed: 7, ...STEPS, ...body },
  })
  const settled = async (id: string) => {
    for (;;) {
      const batch = await client().batches.retrieve(id)
      if (!['validating', 'in_progress', 'finalizing', 'cancelling'].includes(batch.status)) return batch
      if (batch.status === 'in_progress') {
        const native = (batch as unknown as { darkroom_batch_id: string }).darkroom_batch_id
        await farm.end(native)
      }
    }
  }
  const linesOf = async (fileId: string) =>
    (await (await client().files.content(fileId)).text())
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text) as { custom_id: string; response: { status_code: number; body: never } | null })

  test('a file of requests is uploaded, rendered and downloaded', { timeout: 60_000 }, async () => {
    const file = await upload([line('a'), line('b', { n: 2 }), line('c', { scheduler: 'EulerDiscreteScheduler' })])
    expect(file).toMatchObject({ object: 'file', purpose: 'batch', filename: 'requests.jsonl', status: 'processed' })
    const made = await client().batches.create({
      input_file_id: file.id,
      endpoint: '/v1/images/generations',
      completion_window: '24h',
      metadata: { project: 'fruit' },
    })
    expect(made).toMatchObject({ object: 'batch', status: 'validating', metadata: { project: 'fruit' } })
    const batch = await settled(made.id)
    expect(batch).toMatchObject({
      status: 'completed',
      request_counts: { total: 3, completed: 3, failed: 0 },
      error_file_id: null,
      errors: null,
    })
    expect(batch.completed_at).toBeGreaterThanOrEqual(batch.created_at)
    const output = await linesOf(batch.output_file_id!)
    expect(output.map(({ custom_id: id }) => id).toSorted()).toEqual(['a', 'b', 'c'])
    const { body } = output.find(({ custom_id: id }) => id === 'b')!.response as unknown as {
      body: { data: { url: string; seed: number }[] }
    }
    expect(body.data.map(({ seed }) => seed)).toEqual([7, 8])
    const picture = await fetch(body.data[1]!.url)
    expect(await sharp(await picture.arrayBuffer()).metadata()).toMatchObject({ width: 64, height: 64, format: 'png' })
    const described = await client().files.retrieve(batch.output_file_id!)
    const content = await (await client().files.content(batch.output_file_id!)).arrayBuffer()
    expect(described).toMatchObject({ purpose: 'batch_output', bytes: content.byteLength })
    await client().files.delete(batch.output_file_id!)
    await expect(client().files.retrieve(batch.output_file_id!)).rejects.toMatchObject({ status: 404 })
  })

  test.each([
    ['/v1/images/generations', {}],
    ['/v1/images/edits', { images: [{ image_url: dataUrl(readFileSync(path.join(EXAMPLES, 'cat.png'))) }] }],
  ] as const)('lines for %s that ask for base64 have their pictures in the output file', async (url, source) => {
    const asked = (id: string, body: object) => ({ ...line(id, { ...source, ...body }), url })
    const file = await upload([
      asked('addresses', { n: 2 }),
      asked('pictures', { n: 2, response_format: 'b64_json' }),
      asked('more', { seed: 9, response_format: 'b64_json', output_format: 'webp' }),
    ])
    const { id } = await client().batches.create({ input_file_id: file.id, endpoint: url, completion_window: '24h' })
    const { status, output_file_id: output } = await settled(id)
    expect(status).toBe('completed')
    const lines = await linesOf(output!)
    const dataOf = (custom: string) =>
      (
        lines.find(({ custom_id: name }) => name === custom)!.response as unknown as {
          body: { data: { url?: string; b64_json?: string; seed: number }[] }
        }
      ).body.data
    const [named, given] = [dataOf('addresses'), dataOf('pictures')]
    expect(given.map(({ url: address, seed }) => [address, seed])).toEqual([
      [undefined, 7],
      [undefined, 8],
    ])
    const fetched = await Promise.all(named.map(async ({ url: address }) => (await fetch(address!)).arrayBuffer()))
    // They say which item they are, and that alone is another.
    const pixels = (pictures: readonly Buffer[]) => Promise.all(pictures.map(pixelsOf))
    expect(await pixels(given.map(({ b64_json: picture }) => Buffer.from(picture!, 'base64')))).toEqual(
      await pixels(fetched.map((bytes) => Buffer.from(bytes))),
    )
    const [webp] = dataOf('more')
    expect(await sharp(Buffer.from(webp!.b64_json!, 'base64')).metadata()).toMatchObject({ format: 'webp' })
    // Lengths and ranges are those of the file as it is read.
    const whole = Buffer.from(await (await client().files.content(output!)).arrayBuffer())
    expect((await client().files.retrieve(output!)).bytes).toBe(whole.length)
    const start = whole.indexOf(given[1]!.b64_json!) + 100
    const headers = { range: `bytes=${start}-${start + 4_999}` }
    const part = await fetch(`${farm.farm.gatewayUrl}/v1/files/${output!}/content`, { headers })
    expect([part.status, part.headers.get('content-range')]).toEqual([
      206,
      `bytes ${start}-${start + 4_999}/${whole.length}`,
    ])
    expect(Buffer.from(await part.arrayBuffer())).toEqual(whole.subarray(start, start + 5_000))
  })

  test('a batch with bad lines fails whole, and says which lines', async () => {
    const file = await upload([
      line('a'),
      line('b', { size: '63x64' }),
      { custom_id: 'c', method: 'POST', url: '/v1/images/edits', body: {} },
      line('a'),
      line('e', { num_inference_stepz: 3 }),
      line('f', { response_format: 'base64' }),
    ])
    const made = await client().batches.create({
      input_file_id: file.id,
      endpoint: '/v1/images/generations',
      completion_window: '24h',
    })
    const batch = await settled(made.id)
    expect(batch).toMatchObject({ status: 'failed', output_file_id: null, request_counts: { total: 0 } })
    expect(batch.errors!.data!.map(({ line: number, param }) => [number, param])).toEqual([
      [2, 'body.width'],
      [3, 'url'],
      [4, 'custom_id'],
      [5, 'body.num_inference_stepz'],
      [6, 'body.response_format'],
    ])
  })

  test('a batch is cancelled, and what was rendered by then is there', { timeout: 60_000 }, async () => {
    const file = await upload(Array.from({ length: 64 }, (__, i) => line(`r${i}`, { num_inference_steps: 100 })))
    const { id } = await client().batches.create({
      input_file_id: file.id,
      endpoint: '/v1/images/generations',
      completion_window: '24h',
    })
    for (;;) {
      const { status } = await client().batches.retrieve(id)
      if (status === 'in_progress') break
      expect(status).toBe('validating')
    }
    expect(['cancelling', 'cancelled']).toContain((await client().batches.cancel(id)).status)
    const batch = await settled(id)
    expect(batch.status).toBe('cancelled')
    const { total, completed, failed } = batch.request_counts!
    expect([total, completed + failed]).toEqual([64, 64])
    const errors = await linesOf(batch.error_file_id!)
    expect(errors).toHaveLength(failed)
    expect(errors[0]).toMatchObject({ response: null, error: { code: 'batch_cancelled' } })
  })

  test('lists go on from page to page', async () => {
    const ids: string[] = []
    for await (const batch of client().batches.list({ limit: 1 })) ids.push(batch.id)
    expect(ids.length).toBeGreaterThanOrEqual(3)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).toEqual(ids.toSorted().toReversed())
    const files = await Array.fromAsync(client().files.list({ limit: 2, order: 'asc' }))
    expect(new Set(files.map(({ id }) => id)).size).toBe(files.length)
    // Uploads and results of batches together, as their ids end.
    const ages = files.map(({ id }) => id.slice(-22))
    expect(ages).toEqual(ages.toSorted())
    const results = await Array.fromAsync(client().files.list({ limit: 2, purpose: 'batch_output' }))
    expect(results.length).toBeGreaterThanOrEqual(2)
    expect(files.filter(({ purpose }) => purpose === 'batch_output')).toEqual(results.toReversed())
    expect(files.length).toBeGreaterThanOrEqual(results.length + 3)
    for (const { id, bytes } of results)
      expect((await (await client().files.content(id)).arrayBuffer()).byteLength).toBe(bytes)
  })

  test('models are the checkpoints', async () => {
    const names: string[] = []
    for await (const model of client().models.list()) names.push(model.id)
    expect(names).toContain('emoji-sd')
    expect((await client().models.retrieve('emoji-sd')).owned_by).toBe('darkroom')
    await expect(client().models.retrieve('no-such')).rejects.toMatchObject({ status: 404 })
  })

  test('errors have what the client reads', async () => {
    const wrong = client().images.generate({ model: 'emoji-sd', prompt: 'x', size: '1x1' })
    await expect(wrong).rejects.toMatchObject({
      status: 400,
      code: 'invalid_request',
      param: 'width',
      type: 'invalid_request_error',
      message: expect.stringMatching('width'),
      requestID: expect.stringMatching(/./),
    })
    await expect(wrong).rejects.toBeInstanceOf(OpenAI.BadRequestError)
    await expect(client().batches.retrieve('batch_none')).rejects.toBeInstanceOf(OpenAI.NotFoundError)
    const noFile = client().batches.create({
      input_file_id: 'file-none',
      endpoint: '/v1/images/generations',
      completion_window: '24h',
    })
    await expect(noFile).rejects.toMatchObject({ status: 400, param: 'input_file_id' })
  })
})

function dataUrl(bytes: Buffer): string {
  return `data:image/png;base64,${bytes.toString('base64')}`
}

async function pixelsOf(picture: Buffer): Promise<Buffer> {
  return sharp(picture).raw().toBuffer()
}
