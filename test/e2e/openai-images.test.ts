import { createReadStream, readFileSync } from 'node:fs'
import path from 'node:path'
import OpenAiNew, { toFile as toFileNew } from 'openai'
import OpenAiOld, { toFile as toFileOld } from 'openai-6'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestFarm } from './farm.harness.ts'
import type { TestFarm } from './farm.harness.ts'

const EXAMPLES = path.resolve(import.meta.dirname, '../../deploy/local/examples')

let farm: TestFarm
beforeAll(async () => {
  farm = await startTestFarm({ workers: 1 })
}, 60_000)
afterAll(() => farm?.[Symbol.asyncDispose]())

/** What the types of OpenAI's own client do not know: parameters of the farm. */
const STEPS = { num_inference_steps: 4, guidance_scale: 3.5 } as object

describe.each([
  ['openai 7', OpenAiNew, toFileNew],
  ['openai 6', OpenAiOld as unknown as typeof OpenAiNew, toFileOld as unknown as typeof toFileNew],
])('pictures of the official client, unmodified: %s', (_, OpenAI, toFile) => {
  const client = () => new OpenAI({ apiKey: 'any', baseURL: `${farm.farm.gatewayUrl}/v1`, maxRetries: 0 })

  test('a picture is rendered while its caller waits, the same for the same seed', async () => {
    const request = { model: 'emoji-sd', prompt: 'a panda', size: '64x64', ...STEPS, seed: 3 } as never
    const [first, second] = [await client().images.generate(request), await client().images.generate(request)]
    const pictures = (first as { data: { b64_json: string }[] }).data
    expect(pictures[0]!.b64_json).toBe((second as { data: { b64_json: string }[] }).data[0]!.b64_json)
    expect(await sharp(Buffer.from(pictures[0]!.b64_json, 'base64')).metadata()).toMatchObject({
      width: 64,
      format: 'png',
    })
    const named = await client().images.generate({
      ...(request as object),
      n: 2,
      response_format: 'url',
      output_format: 'webp',
    } as never)
    const urls = (named as { data: { url: string }[] }).data.map(({ url }) => url)
    const answer = await fetch(urls[1]!)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'image/webp'])
  })

  test.each([
    ['png', {}],
    ['webp', { output_format: 'webp' }],
    ['jpeg', { output_format: 'jpeg' }],
  ])('a stream shows the picture on its way, and then the picture, all as %s', async (format, asked) => {
    const stream = (await client().images.generate({
      model: 'emoji-sd',
      prompt: 'a red apple',
      stream: true,
      partial_images: 2,
      num_inference_steps: 200,
      ...asked,
    } as never)) as unknown as AsyncIterable<{
      type: string
      b64_json: string
      output_format: string
      partial_image_index?: number
    }>
    const events = await Array.fromAsync(stream)
    expect(events.at(-1)!.type).toBe('image_generation.completed')
    const partials = events.slice(0, -1)
    expect(partials.map(({ partial_image_index: index }) => index)).toEqual(partials.map((__, i) => i))
    expect(partials.length).toBeGreaterThanOrEqual(1)
    expect(partials.length).toBeLessThanOrEqual(2)
    for (const { b64_json: picture, output_format: said } of events) {
      expect(said).toBe(format)
      expect(await sharp(Buffer.from(picture, 'base64')).metadata()).toMatchObject({ format, width: 64, height: 64 })
    }
  })

  test('a picture is edited: whole, or where its mask is transparent', async () => {
    const image = await toFile(createReadStream(path.join(EXAMPLES, 'cat.png')), 'cat.png', { type: 'image/png' })
    const whole = await client().images.edit({
      model: 'emoji-sd',
      image,
      prompt: 'a panda',
      ...({ strength: 0.6, seed: 1, num_inference_steps: 10 } as object),
    })
    expect(whole.data).toHaveLength(1)
    const alpha = Buffer.alloc(64 * 64 * 4, 255)
    for (let i = 0; i < (64 * 64) / 2; i++) alpha[4 * i + 3] = 0
    const png = await sharp(alpha, { raw: { width: 64, height: 64, channels: 4 } })
      .png()
      .toBuffer()
    const masked = await client().images.edit({
      model: 'emoji-sd',
      image: await toFile(createReadStream(path.join(EXAMPLES, 'cat.png')), 'cat.png', { type: 'image/png' }),
      mask: await toFile(png, 'mask.png', { type: 'image/png' }),
      prompt: 'a panda',
      ...({ seed: 1, num_inference_steps: 10 } as object),
    })
    const white = await sharp(Buffer.alloc(64 * 64).fill(255, 0, (64 * 64) / 2), {
      raw: { width: 64, height: 64, channels: 1 },
    })
      .png()
      .toBuffer()
    const native = await farm.gateway.submitJson({
      items: [
        {
          checkpoint: 'emoji-sd',
          task: 'inpainting',
          image: dataUrl(readFileSync(path.join(EXAMPLES, 'cat.png'))),
          maskImage: dataUrl(white),
          prompt: 'a panda',
          seed: 1,
          numInferenceSteps: 10,
        },
      ],
    })
    await farm.end(native.id)
    const { items } = (await (await farm.gateway.download(`/api/v1/batches/${native.id}/items`)).json()) as {
      items: { images: { name: string }[] }[]
    }
    const expected = await farm.picture(native.id, items[0]!.images[0]!.name)
    expect(await pixelsOf(Buffer.from(masked.data![0]!.b64_json!, 'base64'))).toEqual(await pixelsOf(expected))
  })
})

function dataUrl(bytes: Buffer): string {
  return `data:image/png;base64,${bytes.toString('base64')}`
}

async function pixelsOf(picture: Buffer): Promise<Buffer> {
  return sharp(picture).raw().toBuffer()
}
