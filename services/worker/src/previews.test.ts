import type { Preview } from '@darkroom/proto'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { shardOf, startHarness, startWorker } from './worker.harness.ts'

let harness: Awaited<ReturnType<typeof startHarness>>
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness[Symbol.asyncDispose]())

const STEPS = 40

const stepsOf = (previews: readonly Preview[], item: number, image = 0): number[] =>
  previews.filter((one) => one.item === item && one.image === image).map(({ step }) => step)

test('items that ask for previews have them sent while they are rendered, each image its own, in order', async () => {
  await using worker = await startWorker(harness)
  const shard = shardOf(harness.sd, [
    { numInferenceSteps: STEPS, previewEvery: 2, numImages: 2 },
    { numInferenceSteps: STEPS, previewEvery: 10, previewMode: 'decode', width: 96 },
    { numInferenceSteps: STEPS },
  ])
  const previews = harness.link.previewsOf(shard.batchId)
  await worker.dispatch(shard)
  await harness.completionOf(shard)
  for (const [item, image, every] of [
    [0, 0, 2],
    [0, 1, 2],
    [1, 0, 10],
  ] as const) {
    const steps = stepsOf(previews, item, image)
    expect(steps.length).toBeGreaterThan(0)
    expect(steps).toEqual(steps.toSorted((a, b) => a - b))
    expect(steps.every((step) => step % every === 0 && step < STEPS)).toBe(true)
  }
  expect(stepsOf(previews, 2)).toEqual([])
  expect(new Set(previews.map(({ steps }) => steps))).toEqual(new Set([STEPS]))
  const sizes = await Promise.all(
    [0, 1].map(async (item) => sharp(previews.find((one) => one.item === item)!.jpeg).metadata()),
  )
  expect(sizes).toMatchObject([
    { format: 'jpeg', width: 64, height: 64 },
    { format: 'jpeg', width: 96, height: 64 },
  ])
  const metrics = await (await fetch(`http://127.0.0.1:${worker.adminPort}/metrics`)).text()
  expect(metrics).toContain(`darkroom_previews_total ${previews.length}`)
})

test('previews change no pixel', async () => {
  await using worker = await startWorker(harness)
  const [plain, watched] = [{}, { previewEvery: 1, previewMode: 'decode' }].map((fields) =>
    shardOf(harness.sd, [{ numInferenceSteps: 5, scheduler: 'DDPMScheduler', seed: 9n, ...fields }]),
  )
  const hashes: string[] = []
  for (const shard of [plain!, watched!]) {
    await worker.dispatch(shard)
    await harness.completionOf(shard)
    for await (const { key } of harness.store.list(`batches/${shard.batchId}/images/`)) {
      hashes.push(key.slice(key.lastIndexOf('-')))
    }
  }
  expect(hashes).toHaveLength(2)
  expect(hashes[0]).toBe(hashes[1])
})

test('a worker that has lost its coordinator renders, and sends no previews', async () => {
  await using own = await startHarness()
  await using worker = await startWorker(own)
  const shard = shardOf(own.sd, [{ numInferenceSteps: 5, previewEvery: 1 }])
  const previews = own.link.previewsOf(shard.batchId)
  await own.link.stop()
  await worker.dispatch(shard)
  expect(await own.completionOf(shard)).toMatchObject({ committed: true })
  expect(previews).toEqual([])
})
