import { parsePythonJson, pushCheckpoint } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { CommitRecord, Item, ItemResult, ShardAssignment } from '@darkroom/proto'
import { cpSync, readFileSync } from 'node:fs'
import path from 'node:path'
import sharp from 'sharp'
import type { OverlayOptions } from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { shardOf, startHarness, startWorker, uploadPicture } from './worker.harness.ts'

const GOLDEN = path.resolve(import.meta.dirname, '../../../test/golden')
const PIPELINES = path.join(GOLDEN, 'pipelines')

interface GoldenCase {
  readonly name: string
  readonly request: {
    readonly prompt: string
    readonly strength: number
    readonly scheduler: Readonly<Record<string, unknown>>
    readonly num_inference_steps: number
    readonly guidance_scale: number
    readonly seed: number
  }
  readonly rgb_base64: string
}

let harness: Awaited<ReturnType<typeof startHarness>>
let init: string
let mask: string
beforeAll(async () => {
  harness = await startHarness()
  init = await uploadPicture(harness.store, readFileSync(path.join(PIPELINES, 'init.png')))
  mask = await uploadPicture(harness.store, readFileSync(path.join(PIPELINES, 'mask.png')))
})
afterAll(() => harness[Symbol.asyncDispose]())

async function render(
  worker: Awaited<ReturnType<typeof startWorker>>,
  shard: ShardAssignment,
): Promise<readonly ItemResult[]> {
  await worker.dispatch(shard)
  expect(await harness.completionOf(shard)).toMatchObject({ committed: true, errorCode: '' })
  const record = (await harness.store.getJson<CommitRecord>(keys.result(shard.batchId, shard.shardId)))!
  return record.kind === 'rendered' ? record.items : []
}

async function pixelsOf(batchId: string, result: ItemResult | undefined, n = 0): Promise<Buffer> {
  if (result?.state !== 'rendered') throw new Error(`not rendered: ${JSON.stringify(result)}`)
  const bytes = await harness.store.get(keys.image(batchId, result.images[n]!.name))
  return sharp(bytes!).removeAlpha().raw().toBuffer()
}

function worstLevel(a: Buffer, b: Buffer): number {
  expect(a).toHaveLength(b.length)
  return a.reduce((worst, level, i) => Math.max(worst, Math.abs(level - b[i]!)), 0)
}

function itemOf({ request }: GoldenCase): Partial<Item> {
  const { _class_name: scheduler, ...schedulerConfig } = request.scheduler
  return {
    prompt: request.prompt,
    strength: request.strength,
    scheduler: String(scheduler),
    schedulerConfig: schedulerConfig as NonNullable<Item['schedulerConfig']>,
    numInferenceSteps: request.num_inference_steps,
    guidanceScale: request.guidance_scale,
    seed: BigInt(request.seed),
    width: 32,
    height: 32,
  }
}

test('image-to-image and inpainting of uploaded pictures are what diffusers renders, to one level', async () => {
  const { cases } = parsePythonJson(readFileSync(path.join(PIPELINES, 'pipelines.json'), 'utf8')) as {
    cases: GoldenCase[]
  }
  const tiny = await pushCheckpoint(harness.store, path.join(PIPELINES, 'tiny-sd'))
  await using worker = await startWorker(harness)
  for (const [name, pictures] of [
    ['img2img/euler', { task: 'image-to-image', image: init }],
    ['inpaint4/ddim', { task: 'inpainting', image: init, maskImage: mask }],
  ] as const) {
    const golden = cases.find((one) => one.name === name)!
    const shard = shardOf(tiny, [{ ...itemOf(golden), ...pictures }])
    const [result] = await render(worker, shard)
    const got = await pixelsOf(shard.batchId, result)
    expect(worstLevel(got, Buffer.from(golden.rgb_base64, 'base64')), name).toBeLessThanOrEqual(1)
  }
})

test('a depth map may be given as a picture', async () => {
  const tiny = await pushCheckpoint(harness.store, path.join(PIPELINES, 'tiny-sd-depth'))
  await using worker = await startWorker(harness)
  const ramp = Buffer.from(Array.from({ length: 1024 }, (_, p) => 8 * (p % 32)))
  const maps = [ramp, ramp.toReversed()].map((levels) =>
    sharp(levels, { raw: { width: 32, height: 32, channels: 1 } })
      .png()
      .toBuffer(),
  )
  const [near, far] = await Promise.all(maps.map(async (png) => uploadPicture(harness.store, await png)))
  const base = { task: 'depth-to-image', image: init, strength: 0.8, width: 32, height: 32, seed: 3n }
  const shard = shardOf(tiny, [
    { ...base, depthMap: near! },
    { ...base, depthMap: far! },
  ])
  const results = await render(worker, shard)
  const [one, other] = await Promise.all(results.map((result) => pixelsOf(shard.batchId, result)))
  expect(worstLevel(one!, other!)).toBeGreaterThan(0)
})

test('every image of an item has its seed, and is the picture that an item of its own would be', async () => {
  await using worker = await startWorker(harness)
  const base = { task: 'image-to-image', image: init, strength: 0.5, numInferenceSteps: 4 }
  const shard = shardOf(harness.sd, [
    { ...base, seed: 5n, numImages: 2 },
    { ...base, seed: 6n },
  ])
  const results = await render(worker, shard)
  expect(results).toMatchObject([{ images: [{ seed: 5 }, { seed: 6 }] }, { images: [{ seed: 6 }] }])
  const pictures = await Promise.all([
    pixelsOf(shard.batchId, results[0], 0),
    pixelsOf(shard.batchId, results[0], 1),
    pixelsOf(shard.batchId, results[1]),
  ])
  expect(pictures[1].equals(pictures[2])).toBe(true)
  expect(pictures[0].equals(pictures[1])).toBe(false)
})

test('a mask’s surroundings are put back into the picture, whose size is the record’s', async () => {
  await using worker = await startWorker(harness)
  const [width, height] = [120, 90]
  const photo = await uploadPicture(
    harness.store,
    await sharp({ create: { width, height, channels: 3, background: { r: 10, g: 200, b: 90 } } })
      .png()
      .toBuffer(),
  )
  const white = { input: { create: { width: 20, height: 20, channels: 3, background: 'white' } }, left: 60, top: 30 }
  const spot = await uploadPicture(
    harness.store,
    await sharp({ create: { width, height, channels: 3, background: 'black' } })
      .composite([white as OverlayOptions])
      .png()
      .toBuffer(),
  )
  const shard = shardOf(harness.sd, [{ task: 'inpainting', image: photo, maskImage: spot, paddingMaskCrop: 8 }])
  const [result] = await render(worker, shard)
  expect(result).toMatchObject({ images: [{ width, height }] })
  const pixels = await pixelsOf(shard.batchId, result)
  expect([...pixels.subarray(0, 3)]).toEqual([10, 200, 90])
  const inside = 3 * (40 * width + 70)
  expect([...pixels.subarray(inside, inside + 3)]).not.toEqual([10, 200, 90])
})

test('an item whose picture is missing, has other bytes or is none fails alone, with the reason', async () => {
  await using worker = await startWorker(harness)
  const tampered = keys.inputPicture('default', '2'.repeat(64))
  await harness.store.put(tampered, readFileSync(path.join(PIPELINES, 'init.png')))
  const text = await uploadPicture(harness.store, Buffer.from('no picture'))
  const base = { task: 'image-to-image', strength: 0.5, image: init }
  const shard = shardOf(harness.sd, [
    base,
    { ...base, image: keys.inputPicture('default', '3'.repeat(64)) },
    { ...base, image: tampered },
    { ...base, image: text },
    { ...base, image: 'checkpoints/tags/emoji-sd/latest.json' },
    { ...base, task: 'inpainting' },
    base,
  ])
  const failed = (reason: string) => ({
    state: 'failed',
    code: 'RENDER_FAILED',
    message: expect.stringContaining(reason),
  })
  expect(await render(worker, shard)).toMatchObject([
    { state: 'rendered' },
    failed('upload the picture again'),
    failed('other bytes'),
    failed('want PNG, JPEG or WebP'),
    failed('is no key of an uploaded picture'),
    failed('maskImage is missing'),
    { state: 'rendered' },
  ])
})

// Half of all requests fail, by chance, and are tried again after a while.
test('while the object store fails, pictures are waited for', { timeout: 60_000 }, async () => {
  await using worker = await startWorker(harness)
  const warm = shardOf(harness.sd, [{}])
  await render(worker, warm)
  const fresh = await uploadPicture(
    harness.store,
    await sharp({ create: { width: 64, height: 64, channels: 3, background: 'teal' } })
      .png()
      .toBuffer(),
  )
  Object.assign(harness.s3.faults.settings, { breakBeforeRate: 0.3, slowDownRate: 0.3 })
  const shard = shardOf(harness.sd, [{ task: 'image-to-image', image: fresh, strength: 0.5 }])
  await worker.dispatch(shard)
  const told = await harness.completionOf(shard)
  Object.assign(harness.s3.faults.settings, { breakBeforeRate: 0, slowDownRate: 0 })
  expect(told).toMatchObject({ committed: true })
  const record = await harness.store.getJson<CommitRecord>(keys.result(shard.batchId, shard.shardId))
  expect(record).toMatchObject({ items: [{ state: 'rendered' }] })
})

test('a refiner is held beside its base, on a shelf that has room for one, and finishes what the base leaves', async () => {
  const folder = path.join(GOLDEN, 'newer-families/tiny-sdxl')
  const copy = path.join(harness.directory, 'tiny-refiner')
  cpSync(folder, copy, { recursive: true })
  const base = await pushCheckpoint(harness.store, folder)
  const refiner = await pushCheckpoint(harness.store, copy)
  await using worker = await startWorker(harness, { DARKROOM_WORKER_MEMORY_MIB: '1' })
  const item = { task: 'text-to-image', width: 32, height: 32, numInferenceSteps: 4, seed: 1n, guidanceScale: 3 }
  const shard = shardOf(base, [
    { ...item, denoisingEnd: 0.5, refiner },
    { ...item, denoisingEnd: 0.5 },
  ])
  const results = await render(worker, shard)
  const { worker: told } = await worker.client.describe({})
  expect(told!.residentCheckpoints.toSorted()).toEqual([refiner, base].toSorted())
  const [refined, unfinished] = await Promise.all(results.map((result) => pixelsOf(shard.batchId, result)))
  expect(refined!.equals(unfinished!)).toBe(false)
})
