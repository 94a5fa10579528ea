import { keys } from '@darkroom/proto'
import type { CommitRecord, ShardAssignment } from '@darkroom/proto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { renderedBy } from './shards/provenance.ts'
import { encodeProgress } from './shards/shard-progress.ts'
import type { ProgressOwner, ShardProgress } from './shards/shard-progress.ts'
import { shardOf, startHarness, startWorker } from './worker.harness.ts'

let harness: Awaited<ReturnType<typeof startHarness>>
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness[Symbol.asyncDispose]())
afterEach(() => {
  harness.link.settings.meanSecondsBetweenLosses = 0
})

type Worker = Awaited<ReturnType<typeof startWorker>>

/** With these the progress is written every few milliseconds. */
const OFTEN = 1e-4
const LONG = 40

/** Four images that are long on their way, and one that is soon done. */
function longShard(): ShardAssignment {
  return shardOf(harness.sd, [
    { scheduler: 'EulerAncestralDiscreteScheduler', numInferenceSteps: LONG, numImages: 2, guidanceScale: 1 },
    { scheduler: 'DPMSolverMultistepScheduler', numInferenceSteps: LONG, seed: 5n },
    { scheduler: 'DDIMScheduler', eta: 1, numInferenceSteps: LONG, seed: 6n },
    { prompt: 'cat '.repeat(50), numInferenceSteps: 2, seed: 7n, guidanceScale: 1 },
  ])
}
const STEPS = 4 * LONG + 2

const keyOf = ({ batchId, shardId }: ShardAssignment): string => keys.progress(batchId, shardId)

async function itemsOf({ batchId, shardId }: ShardAssignment) {
  const record = await harness.store.getJson<CommitRecord>(keys.result(batchId, shardId))
  if (record?.kind !== 'rendered') throw new Error(`shard ${shardId} was not rendered`)
  return record.items.map((item) => {
    const { seconds: _, ...rest } = { seconds: 0, ...item }
    return rest
  })
}

/** What is rendered where nobody disturbs. */
async function undisturbed(worker: Worker): ReturnType<typeof itemsOf> {
  const shard = longShard()
  await worker.dispatch(shard)
  await harness.completionOf(shard)
  return itemsOf(shard)
}

/** Sum of a metric over its labels. */
async function total({ adminPort }: Pick<Worker, 'adminPort'>, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

const halfDone = (worker: Worker, { batchId }: ShardAssignment) =>
  harness.link.report(
    ({ id, running }) =>
      id === worker.id && running.some((one) => one.batchId === batchId && one.stepsDone > one.stepsTotal / 2),
  )

const ownerOf = ({ batchId, shardId }: ShardAssignment): ProgressOwner => {
  return { batchId, shardId, renderedBy: renderedBy({ device: { kind: 'cpu' }, determinism: 'request' }) }
}

describe('a shard that its worker leaves in the middle', () => {
  test(
    'on a drain, goes on elsewhere at its step: the same bytes, hardly a step twice',
    { timeout: 60_000 },
    async () => {
      const first = await startWorker(harness, { DARKROOM_WORKER_GRACE_MS: '0' })
      const heirless = longShard()
      let before: number
      try {
        await first.dispatch(heirless)
        await halfDone(first, heirless)
        await first.client.drain({})
        before = await total(first, 'darkroom_denoise_steps_total')
        expect(await total(first, 'darkroom_progress_write_seconds_count')).toBe(1)
        expect(await total(first, 'darkroom_progress_write_seconds_sum')).toBeLessThan(2)
      } finally {
        await first[Symbol.asyncDispose]()
      }
      expect(await harness.store.head(keyOf(heirless))).not.toBeNull()

      await using heir = await startWorker(harness)
      await heir.dispatch({ ...heirless, attempt: 2 })
      expect(await harness.completionOf(heirless)).toMatchObject({ committed: true, workerId: heir.id })
      const resumed = await total(heir, 'darkroom_resumed_steps_total')
      expect(resumed).toBeGreaterThan(STEPS / 2)
      expect(await total(heir, 'darkroom_denoise_steps_total')).toBe(STEPS - resumed)
      // The step that ran while the drain was asked for, and the one in which the lanes were told to stop.
      expect(before - resumed).toBeLessThanOrEqual(2 * 4)
      expect(await total(heir, 'darkroom_images_total')).toBe(4)
      expect(await itemsOf(heirless)).toEqual(await undisturbed(heir))
      expect(await harness.store.head(keyOf(heirless))).toBeNull()
    },
  )

  test('without a word, goes on elsewhere from what was written now and then', { timeout: 60_000 }, async () => {
    harness.link.settings.meanSecondsBetweenLosses = OFTEN
    await using lost = await startWorker(harness)
    await using heir = await startWorker(harness)
    const shard = longShard()
    await lost.dispatch(shard)
    await halfDone(lost, shard)
    // Nothing is saved or tidied up for an attempt that is cancelled, as if it were killed.
    const { batchId, shardId } = shard
    harness.link.order({ case: 'cancelShard', value: { batchId, shardId, attempt: 1 } })
    await harness.link.report(({ id, running }) => id === lost.id && running.length === 0)
    expect(await total(lost, 'darkroom_progress_write_seconds_count')).toBeGreaterThan(2)

    await heir.dispatch({ ...shard, attempt: 2 })
    expect(await harness.completionOf(shard)).toMatchObject({ committed: true, workerId: heir.id })
    const resumed = await total(heir, 'darkroom_resumed_steps_total')
    expect(resumed).toBeGreaterThan(STEPS / 4)
    expect(await total(heir, 'darkroom_denoise_steps_total')).toBe(STEPS - resumed)
    expect(await itemsOf(shard)).toEqual(await undisturbed(heir))
    expect(await harness.store.head(keyOf(shard))).toBeNull()
  })
})

describe('progress that cannot be used is ignored', () => {
  const nothing: ShardProgress = { finished: new Map(), begun: new Map() }
  const latents = new Float32Array(3)
  const generator = { words: new Uint32Array(624), index: 624, cachedNormal: null }
  const lane = { index: 1, latents, schedulerState: null, extraChannels: null, kept: null, generator }
  const unfit: ShardProgress = { ...nothing, begun: new Map([['0-0', { base: null, lane, seconds: 1 }]]) }

  test.for<[string, (shard: ShardAssignment) => Buffer]>([
    ['damaged', (shard) => encodeProgress(ownerOf(shard), unfit).fill(0, 60, 64)],
    [
      'foreign',
      (shard) =>
        encodeProgress(
          { ...ownerOf(shard), renderedBy: renderedBy({ device: { kind: 'cuda' }, determinism: 'request' }) },
          unfit,
        ),
    ],
    ['unfit', (shard) => encodeProgress(ownerOf(shard), unfit)],
  ])('where it is %s, and deleted once the shard has its record', async ([reason, write]) => {
    await using worker = await startWorker(harness)
    const [clean, shard] = [shardOf(harness.sd, [{}]), shardOf(harness.sd, [{}])]
    await harness.store.put(keyOf(shard), write(shard))
    for (const one of [clean, shard]) {
      await worker.dispatch(one)
      expect(await harness.completionOf(one)).toMatchObject({ committed: true })
    }
    expect(await total(worker, `darkroom_progress_ignored_total{reason="${reason}"}`)).toBe(1)
    expect(await itemsOf(shard)).toEqual(await itemsOf(clean))
    await harness.link.report(({ id, running }) => id === worker.id && running.length === 0)
    expect(await harness.store.head(keyOf(shard))).toBeNull()
  })

  test('where a picture that it tells of is not there, or not whole: it is rendered again', async () => {
    await using worker = await startWorker(harness)
    const [clean, shard] = [shardOf(harness.sd, [{ numImages: 2 }]), shardOf(harness.sd, [{ numImages: 2 }])]
    await worker.dispatch(clean)
    await harness.completionOf(clean)
    const [item] = await itemsOf(clean)
    const images = item?.state === 'rendered' ? item.images : []
    const finished = images.map((image) => [`0-${image.n}`, { image, steps: 1, seconds: 1, warnings: [] }] as const)
    await harness.store.put(keyOf(shard), encodeProgress(ownerOf(shard), { ...nothing, finished: new Map(finished) }))
    await harness.store.put(keys.image(shard.batchId, images[0]!.name), 'half')
    await worker.dispatch(shard)
    await harness.completionOf(shard)
    expect(await itemsOf(shard)).toEqual(await itemsOf(clean))
    expect((await harness.store.head(keys.image(shard.batchId, images[0]!.name)))!.size).toBe(images[0]!.bytes)
  })
})
