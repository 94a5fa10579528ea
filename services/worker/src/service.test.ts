import { create } from '@bufbuild/protobuf'
import { CancelItemsSchema, ItemRangeSchema, keys, parsePin, WorkerState } from '@darkroom/proto'
import type { CommitRecord, ItemResult, ShardAssignment } from '@darkroom/proto'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'

import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { scrape, shardOf, startHarness, startWorker } from './worker.harness.ts'

const REFERENCE = path.resolve(import.meta.dirname, '../../../test/golden/reference')

let harness: Awaited<ReturnType<typeof startHarness>>
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness[Symbol.asyncDispose]())

type Rendered = Extract<CommitRecord, { kind: 'rendered' }>

const recordOf = ({ batchId, shardId }: ShardAssignment): Promise<Rendered | null> =>
  harness.store.getJson<Rendered>(keys.result(batchId, shardId))

const imagesOf = async ({ batchId }: ShardAssignment): Promise<string[]> =>
  (await Array.fromAsync(harness.store.list(keys.imageFolder(batchId)))).map(({ key }) => path.basename(key))

const namesIn = (items: readonly ItemResult[]): string[] =>
  items.flatMap((item) => (item.state === 'rendered' ? item.images.map(({ name }) => name) : []))

describe('rendering a shard', () => {
  test('leaves its pictures, one commit record and one completion, and the queue empty', async () => {
    await using worker = await startWorker(harness)
    const shard = shardOf(harness.sd, [
      { scheduler: 'PNDMScheduler', numInferenceSteps: 25, seed: 0n },
      { prompt: 'a cat', scheduler: 'DDPMScheduler', guidanceScale: 1, numImages: 3, seed: 7n },
    ])
    await worker.dispatch(shard)
    expect(await harness.completionOf(shard)).toMatchObject({ committed: true, attempt: 1, workerId: worker.id })
    const record = (await recordOf(shard))!
    expect(record).toMatchObject({ kind: 'rendered', attempt: 1, workerId: worker.id, checkpoint: harness.sd })
    expect(record.deviceSeconds).toBeGreaterThan(0)
    expect(record.items).toMatchObject([
      { index: 0, customId: 'item-0', state: 'rendered', numInferenceSteps: 25, warnings: [] },
      {
        index: 1,
        state: 'rendered',
        images: [
          { n: 0, seed: 7 },
          { n: 1, seed: 8 },
          { n: 2, seed: 9 },
        ],
      },
    ])
    expect((await imagesOf(shard)).sort()).toEqual(namesIn(record.items).sort())
    for (const item of record.items) {
      for (const { name, sha256, bytes } of item.state === 'rendered' ? item.images : []) {
        const png = (await harness.store.get(keys.image(shard.batchId, name)))!
        expect(createHash('sha256').update(png).digest('hex')).toBe(sha256)
        expect(png).toHaveLength(bytes)
        expect(name).toContain(sha256)
      }
    }
    const [apple] = namesIn(record.items)
    const got = await sharp(Buffer.from((await harness.store.get(keys.image(shard.batchId, apple!)))!))
      .raw()
      .toBuffer()
    const want = await sharp(readFileSync(path.join(REFERENCE, 'sd_00_pndm.png')))
      .removeAlpha()
      .raw()
      .toBuffer()
    expect(Math.max(...got.map((level, i) => Math.abs(level - want[i]!)))).toBeLessThanOrEqual(2)
    await expect.poll(() => harness.nats.shardBacklog(worker.id)).toEqual({ pending: 0, ackPending: 0 })
  })

  test('an item that cannot be rendered fails alone, with its reason in the record', async () => {
    await using worker = await startWorker(harness)
    const shard = shardOf(harness.sd, [
      {},
      { scheduler: 'NoSuchScheduler' },
      { width: 60 },
      { guidanceScale: 1e38, numInferenceSteps: 4 },
      {},
    ])
    await worker.dispatch(shard)
    expect(await harness.completionOf(shard)).toMatchObject({ committed: true, errorCode: '' })
    const record = (await recordOf(shard))!
    expect(record.items).toMatchObject([
      { state: 'rendered' },
      {
        state: 'failed',
        customId: 'item-1',
        code: 'RENDER_FAILED',
        message: expect.stringContaining('NoSuchScheduler'),
      },
      { state: 'failed', code: 'RENDER_FAILED', message: expect.stringContaining('multiple of 16') },
      { state: 'failed', code: 'RENDER_FAILED', message: expect.stringContaining('NaN') },
      { state: 'rendered' },
    ])
    // What fails before its first step takes nothing, what fails after its last nearly as much as a picture; both are counted.
    const seconds = record.items.map((item) => item.seconds!)
    expect(seconds.slice(1, 3)).toEqual([0, 0])
    expect(seconds[3]).toBeGreaterThan(0)
    expect(record.deviceSeconds).toBeCloseTo(
      seconds.reduce((a, b) => a + b, 0),
      9,
    )
  })

  test('a prompt that is too long is rendered and warned of', async () => {
    await using worker = await startWorker(harness)
    const shard = shardOf(harness.sd, [{ prompt: 'cat '.repeat(50) }])
    await worker.dispatch(shard)
    await harness.completionOf(shard)
    expect((await recordOf(shard))!.items).toMatchObject([
      { warnings: [expect.stringContaining('longer than 32 tokens')] },
    ])
  })
})

describe('the commit record is the only fence', () => {
  test('a shard that has its record already is only acknowledged', async () => {
    await using worker = await startWorker(harness)
    const shard = shardOf(harness.ddpm, [{}])
    const key = keys.result(shard.batchId, shard.shardId)
    await harness.store.putIfAbsent(key, '{"kind":"cancelled"}')
    await worker.dispatch(shard)
    expect(await harness.completionOf(shard)).toMatchObject({ committed: false, errorCode: '' })
    expect(await harness.store.getJson(key)).toEqual({ kind: 'cancelled' })
    expect(await imagesOf(shard)).toEqual([])
  })

  test('two workers with one shard: one record, equal pictures, the loser counts it and overwrites nothing', async () => {
    await using one = await startWorker(harness)
    await using other = await startWorker(harness)
    const shard = shardOf(harness.ddpm, [{ numInferenceSteps: 20 }, { numInferenceSteps: 20 }])
    // Warm, so that both are under way when the first commits.
    for (const worker of [one, other]) {
      const warm = shardOf(harness.ddpm, [{}])
      await worker.dispatch(warm)
      await harness.completionOf(warm)
    }
    await Promise.all([one.dispatch(shard), other.dispatch(shard)])
    const told = await Promise.all([harness.completionOf(shard, 1), harness.completionOf(shard, 2)])
    expect(new Set(told.map(({ committed }) => committed))).toEqual(new Set([false, true]))
    const record = (await recordOf(shard))!
    expect(record.workerId).toBe(told.find(({ committed }) => committed)!.workerId)
    const loser = told.find(({ committed }) => !committed)!
    // A record that it finds before it begins it does not compare.
    expect(['', record.workerId]).toContain(loser.recordWorkerId)
    expect(loser.differingItems).toEqual([])
    expect((await imagesOf(shard)).sort()).toEqual(namesIn(record.items).sort())
  })

  test('an audit renders what has its record again, compares and writes nothing', async () => {
    await using worker = await startWorker(harness)
    const shard = shardOf(harness.ddpm, [{ numInferenceSteps: 3 }, { numInferenceSteps: 3 }])
    await worker.dispatch(shard)
    await harness.completionOf(shard, 1)
    const record = (await recordOf(shard))!
    await worker.dispatch({ ...shard, attempt: 2, isAudit: true })
    const same = await harness.completionOf(shard, 2)
    expect(same).toMatchObject({ isAudit: true, committed: false, differingItems: [], recordWorkerId: worker.id })
    const other = structuredClone(record) as unknown as { items: { images: { sha256: string }[] }[] }
    other.items[1]!.images[0]!.sha256 = '0'.repeat(64)
    await harness.store.put(keys.result(shard.batchId, shard.shardId), JSON.stringify(other))
    await worker.dispatch({ ...shard, attempt: 3, isAudit: true })
    expect(await harness.completionOf(shard, 3)).toMatchObject({ isAudit: true, differingItems: [1] })
    expect(await recordOf(shard)).toEqual(other)
  })

  test('a shard delivered to another worker after a first attempt gives the same bytes', async () => {
    await using one = await startWorker(harness)
    await using other = await startWorker(harness)
    const shard = shardOf(harness.sd, [{ numImages: 2 }, { scheduler: 'DDIMScheduler', eta: 1 }])
    await one.dispatch(shard)
    await harness.completionOf(shard)
    const again = { ...shardOf(harness.sd, []), items: shard.items.toReversed() }
    await other.dispatch(again)
    await harness.completionOf(again)
    expect((await imagesOf(again)).sort()).toEqual((await imagesOf(shard)).sort())
  })
})

describe('an attempt that cannot be made', () => {
  test('an unknown checkpoint is told of, with its code', async () => {
    await using worker = await startWorker(harness)
    const shard = shardOf(`emoji-ddpm@sha256:${'0'.repeat(64)}`, [{}])
    await worker.dispatch(shard)
    expect(await harness.completionOf(shard)).toMatchObject({ committed: false, errorCode: 'NOT_FOUND' })
    expect(await recordOf(shard)).toBeNull()
    await expect.poll(() => harness.nats.shardBacklog(worker.id)).toEqual({ pending: 0, ackPending: 0 })
  })

  test('a tampered checkpoint is refused before it is loaded, and taken once it is mended', async () => {
    await using worker = await startWorker(harness, {
      DARKROOM_WORKER_CACHE_DIR: path.join(harness.directory, 'empty'),
    })
    const manifestKey = keys.checkpointManifest('emoji-ddpm', parsePin(harness.ddpm)!.hex)
    const manifest = (await harness.store.getJson<{ files: { path: string; sha256: string }[] }>(manifestKey))!
    const key = keys.checkpointBlob(manifest.files.find((file) => file.path === 'unet/model.onnx')!.sha256)
    const sound = (await harness.store.get(key))!
    await harness.store.put(
      key,
      sound.map((byte, i) => (i === 1_000_000 ? byte ^ 1 : byte)),
    )
    const refused = shardOf(harness.ddpm, [{}])
    await worker.dispatch(refused)
    expect(await harness.completionOf(refused)).toMatchObject({ committed: false, errorCode: 'CHECKPOINT_MISMATCH' })
    await harness.store.put(key, sound)
    const mended = shardOf(harness.ddpm, [{}])
    await worker.dispatch(mended)
    expect(await harness.completionOf(mended)).toMatchObject({ committed: true })
  })
})

describe('giving up', () => {
  const endless = (checkpoint: string): ShardAssignment =>
    shardOf(checkpoint, [{ numInferenceSteps: 1000, numImages: 50 }])
  const isRunning = (workerId: string, shard: ShardAssignment) =>
    harness.link.report(
      ({ id, running }) => id === workerId && running.some((one) => one.batchId === shard.batchId && one.stepsDone > 0),
    )

  test('a cancelled attempt leaves no record and the worker goes on with the next shard; an older order is ignored', async () => {
    await using worker = await startWorker(harness)
    const shard = { ...endless(harness.sd), attempt: 2 }
    await worker.dispatch(shard)
    const { running } = await isRunning(worker.id, shard)
    expect(running).toMatchObject([{ shardId: shard.shardId, attempt: 2, stepsTotal: 50_000 }])
    const { batchId, shardId } = shard
    harness.link.order({ case: 'cancelShard', value: { batchId, shardId, attempt: 1 } })
    await isRunning(worker.id, shard)
    harness.link.order({ case: 'cancelShard', value: { batchId, shardId, attempt: 2 } })
    await harness.link.report(({ id, running: now }) => id === worker.id && now.length === 0)
    const next = shardOf(harness.sd, [{}])
    await worker.dispatch(next)
    expect(await harness.completionOf(next)).toMatchObject({ committed: true })
    expect(await recordOf(shard)).toBeNull()
    await expect.poll(() => harness.nats.shardBacklog(worker.id)).toEqual({ pending: 0, ackPending: 0 })
  })

  test('of a shard, what is cancelled before or while it is rendered ends as cancelled, and the rest is rendered', async () => {
    await using worker = await startWorker(harness)
    const long = { numInferenceSteps: 1000, numImages: 2 }
    const items = [{ numInferenceSteps: 4 }, long, long, { numInferenceSteps: 4 }]
    const cancelledItems = [create(ItemRangeSchema, { first: 1, last: 1 })]
    const shard = { ...shardOf(harness.sd, items), cancelledItems }
    await worker.dispatch(shard)
    const { running } = await isRunning(worker.id, shard)
    expect(running).toMatchObject([{ stepsTotal: 2008 }])
    const { batchId, shardId } = shard
    const order = create(CancelItemsSchema, { batchId, shardId, items: [{ first: 2, last: 2 }] })
    harness.link.order({ case: 'cancelItems', value: order })
    expect(await harness.completionOf(shard)).toMatchObject({ committed: true })
    const record = (await recordOf(shard))!
    const cancelled = { state: 'cancelled', code: 'CANCELLED', message: 'it was cancelled' }
    expect(record.items).toMatchObject([
      { index: 0, state: 'rendered' },
      { index: 1, ...cancelled },
      { index: 2, customId: 'item-2', ...cancelled },
      { index: 3, state: 'rendered' },
    ])
    expect((await imagesOf(shard)).sort()).toEqual(namesIn(record.items).sort())
  })

  test('a shard that somebody waits for is rendered beside those that are in hand, and they go on', async () => {
    await using worker = await startWorker(harness)
    const long = [endless(harness.sd), endless(harness.sd)]
    for (const shard of long) await worker.dispatch(shard)
    await isRunning(worker.id, long[0]!)
    const awaited = [1, 2].map((seed) => {
      const shard = shardOf(harness.sd, [{ numInferenceSteps: 4, seed: BigInt(seed) }])
      return { ...shard, isInteractive: true }
    })
    for (const shard of awaited) await worker.dispatch(shard)
    for (const shard of awaited) expect(await harness.completionOf(shard)).toMatchObject({ committed: true })
    for (const shard of long) {
      const { batchId, shardId, attempt } = shard
      await isRunning(worker.id, shard)
      harness.link.order({ case: 'cancelShard', value: { batchId, shardId, attempt } })
    }
    await harness.link.report(({ id, running }) => id === worker.id && running.length === 0)
  })

  test('a worker that drains ends what it can within its grace and leaves the rest to another', async () => {
    const worker = await startWorker(harness, { DARKROOM_WORKER_GRACE_MS: '0' })
    const shard = shardOf(harness.sd, [{ numInferenceSteps: 60, numImages: 2 }])
    try {
      await worker.dispatch(shard)
      await isRunning(worker.id, shard)
      const draining = harness.link.report(({ id, state }) => id === worker.id && state === WorkerState.DRAINING)
      const drained = worker.client.drain({})
      await Promise.all([draining, drained])
      expect((await worker.client.describe({})).worker).toMatchObject({ state: WorkerState.DRAINING, running: [] })
      expect((await scrape(worker.adminPort, '/readyz')).status).toBe(503)
    } finally {
      await worker[Symbol.asyncDispose]()
    }
    expect(await recordOf(shard)).toBeNull()
    await using heir = await startWorker(harness)
    await heir.dispatch({ ...shard, attempt: 2 })
    expect(await harness.completionOf(shard)).toMatchObject({ committed: true, workerId: heir.id })
  })

  test('a worker that stops finishes what runs', async () => {
    const worker = await startWorker(harness)
    const shard = shardOf(harness.sd, [{ numInferenceSteps: 100 }])
    await worker.dispatch(shard)
    await isRunning(worker.id, shard)
    await worker[Symbol.asyncDispose]()
    expect(await harness.completionOf(shard)).toMatchObject({ committed: true, workerId: worker.id })
  })
})

describe('outages', () => {
  test('while the object store fails, rendered work waits; once it is back the shard is committed', async () => {
    await using worker = await startWorker(harness)
    const warm = shardOf(harness.ddpm, [{}])
    await worker.dispatch(warm)
    await harness.completionOf(warm)
    const shard = shardOf(harness.ddpm, [{}, {}])
    harness.s3.faults.settings.slowDownRate = 1
    await worker.dispatch(shard)
    await harness.link.report(({ id, running }) => id === worker.id && running.length > 0)
    harness.s3.faults.settings.slowDownRate = 0
    expect(await harness.completionOf(shard)).toMatchObject({ committed: true })
  })

  test('flaky connections to the object store cost nothing but time', async () => {
    await using worker = await startWorker(harness)
    Object.assign(harness.s3.faults.settings, { breakBeforeRate: 0.2, breakAfterRate: 0.2 })
    const shards = Array.from({ length: 3 }, () => shardOf(harness.ddpm, [{}, {}, {}]))
    for (const shard of shards) await worker.dispatch(shard)
    const told = await Promise.all(shards.map((shard) => harness.completionOf(shard)))
    Object.assign(harness.s3.faults.settings, { breakBeforeRate: 0, breakAfterRate: 0 })
    expect(told.map(({ committed }) => committed)).toEqual([true, true, true])
    for (const shard of shards) {
      expect((await imagesOf(shard)).sort()).toEqual(namesIn((await recordOf(shard))!.items).sort())
    }
  })

  test('a record that was written although no request for it was ever answered counts as its own', async () => {
    await using worker = await startWorker(harness)
    const { faults } = harness.s3
    const count = faults.count.bind(faults)
    let puts = 0
    let unanswered = 0
    faults.count = (operation) => {
      if (operation === 'PutObject') puts++
      // The first is of the picture, all others are of the record; more than the store tries by itself.
      const isOfRecord = operation === 'PutObject' && puts > 1 && unanswered < 8
      if (isOfRecord) unanswered++
      faults.settings.breakAfterRate = isOfRecord ? 1 : 0
      count(operation)
    }
    const shard = shardOf(harness.ddpm, [{}])
    await worker.dispatch(shard)
    const completion = await harness.completionOf(shard)
    faults.count = count
    expect(unanswered).toBe(8)
    expect(completion).toMatchObject({ committed: true, differingItems: [] })
    expect(await recordOf(shard)).toMatchObject({ workerId: worker.id })
  })
})
