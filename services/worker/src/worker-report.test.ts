import { createLogger, findMetricProblems, Metrics } from '@darkroom/chassis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEvents } from './events.ts'
import { scrape, shardOf, startHarness, startWorker } from './worker.harness.ts'

let harness: Awaited<ReturnType<typeof startHarness>>
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness[Symbol.asyncDispose]())

test('describes itself: device and why, checkpoints in memory, what it has done', async () => {
  await using worker = await startWorker(harness)
  const shard = shardOf(harness.ddpm, [{}, {}])
  await worker.dispatch(shard)
  await harness.completionOf(shard)
  const { worker: told } = await worker.client.describe({})
  expect(told).toMatchObject({
    id: worker.id,
    pool: worker.pool,
    address: worker.address,
    device: { kind: 'cpu', reason: 'asked for by DARKROOM_WORKER_DEVICE' },
    residentCheckpoints: [harness.ddpm],
    imagesRendered: 2n,
  })
  expect(told!.busySeconds).toBeGreaterThan(0)
})

test('keeps no more checkpoints in memory than it may', async () => {
  await using worker = await startWorker(harness, { DARKROOM_WORKER_MEMORY_MIB: '1' })
  for (const pin of [harness.ddpm, harness.sd, harness.ddpm]) {
    const shard = shardOf(pin, [{}])
    await worker.dispatch(shard)
    expect(await harness.completionOf(shard)).toMatchObject({ committed: true })
    const { worker: told } = await worker.client.describe({})
    expect(told!.residentCheckpoints).toEqual([pin])
  }
})

test('has the checkpoints that it is to keep before it is ready, and lets go of them for no other', async () => {
  await using worker = await startWorker(harness, {
    DARKROOM_WORKER_MEMORY_MIB: '1',
    DARKROOM_WORKER_KEPT_CHECKPOINTS: harness.sd,
  })
  const resident = async (): Promise<readonly string[]> =>
    (await worker.client.describe({})).worker!.residentCheckpoints
  expect(await resident()).toEqual([harness.sd])
  const shard = shardOf(harness.ddpm, [{}])
  await worker.dispatch(shard)
  expect(await harness.completionOf(shard)).toMatchObject({ committed: true })
  expect(await resident()).toContain(harness.sd)
})

test('does not start where it is to keep a checkpoint that is not there', async () => {
  await expect(startWorker(harness, { DARKROOM_WORKER_KEPT_CHECKPOINTS: 'nobody:v1' })).rejects.toThrow(
    /DARKROOM_WORKER_KEPT_CHECKPOINTS has 'nobody:v1': .*nobody/,
  )
})

test('serves metrics of what it did, and is ready', async () => {
  await using worker = await startWorker(harness)
  const shard = shardOf(harness.ddpm, [{ numInferenceSteps: 3 }])
  await worker.dispatch(shard)
  await harness.completionOf(shard)
  // Counted once the completion, which is awaited above, is acknowledged.
  await expect
    .poll(async () => (await scrape(worker.adminPort, '/metrics')).body)
    .toContain('darkroom_commits_total{kind="rendered"} 1')
  const { body } = await scrape(worker.adminPort, '/metrics')
  const labels = 'scheduler="DDIMScheduler",checkpoint="emoji-ddpm"'
  expect(body).toContain(`darkroom_images_total{${labels},task="unconditional-image-generation"} 1`)
  expect(body).toContain(`darkroom_denoise_steps_total{${labels}} 3`)
  expect(body).toContain(`darkroom_unet_step_seconds_count{${labels}} 3`)
  expect(body).toContain(`darkroom_unet_batch_rows_sum{${labels}} 3`)
  expect(body).toContain('darkroom_resident_checkpoints 1')
  expect(body).not.toContain(shard.batchId)
  expect(await scrape(worker.adminPort, '/livez')).toMatchObject({ status: 200 })
  expect(await scrape(worker.adminPort, '/readyz')).toMatchObject({ status: 200 })
})

test('every metric has a good name, a unit, help and closed labels', () => {
  const metrics = new Metrics()
  createEvents(metrics, createLogger('test', 'silent'))
  expect(findMetricProblems(metrics.registry)).toEqual([])
})

test('more checkpoint names than a label should have become one', async () => {
  const metrics = new Metrics()
  const events = createEvents(metrics, createLogger('test', 'silent'))
  for (let i = 0; i < 60; i++)
    events.imageRendered('DDIMScheduler', `model-${i}@sha256:${'0'.repeat(64)}`, 'text-to-image', {
      seconds: 1,
      isFlagged: i === 0,
    })
  const { values } = await metrics.registry.getSingleMetric('darkroom_images_total')!.get()
  expect(values).toHaveLength(51)
  expect(values.find(({ labels }) => labels['checkpoint'] === 'other')?.value).toBe(10)
})
