import { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { CommitRecord } from '@darkroom/proto'
import { expect, test } from 'vitest'
import { manyItems, startTestFarm } from './farm.harness.ts'
import type { TestFarm } from './farm.harness.ts'

const ITEMS = 48
/** A worker that is killed has told of its time but for what came after its last heartbeat: half a second, and some for a busy machine. */
const UNTOLD_SECONDS = 2

/** Starts a worker, and measures its life with this process's clock. */
async function startMeasured({ farm }: TestFarm, number: number) {
  const spawnedMs = performance.now()
  await farm.startWorker(number)
  const readyMs = performance.now()
  /** Its device's wall time is between these: of the process, and of when it was ready. */
  const bounds = (toldMs: number, goneMs: number) => ({
    atLeast: (toldMs - readyMs) / 1000 - UNTOLD_SECONDS,
    atMost: (goneMs - spawnedMs) / 1000,
  })
  return {
    async end(signal: NodeJS.Signals) {
      const toldMs = performance.now()
      await farm.kill(`worker-${number}`, signal)
      return bounds(toldMs, performance.now())
    },
    soFar: () => bounds(performance.now(), performance.now()),
  }
}

async function deviceSecondsOfRecords({ farm }: TestFarm, batchId: string): Promise<number> {
  using store = ObjectStore.open(farm.storeConfig)
  let seconds = 0
  for await (const { key } of store.list(keys.resultFolder(batchId))) {
    const record = await store.getJson<CommitRecord>(key)
    if (record?.kind === 'rendered') seconds += record.deviceSeconds
  }
  return seconds
}

test(
  'the time of all devices reconciles, where one worker is killed, one is drained and one renders what is left',
  { timeout: 180_000 },
  async () => {
    await using farm = await startTestFarm({
      workers: 0,
      env: {
        coordinator: { DARKROOM_COORDINATOR_TARGET_SHARD_SECONDS: '1' },
        worker: { DARKROOM_WORKER_GRACE_MS: '0' },
      },
    })
    const workers = await Promise.all([1, 2, 3].map((number) => startMeasured(farm, number)))
    const { id } = await farm.gateway.submitJson({ items: manyItems(ITEMS) })
    await farm.until(id, ({ items }) => items.rendered > 0)
    const ended = [await workers[0]!.end('SIGKILL'), await workers[1]!.end('SIGTERM')]
    expect(await farm.end(id)).toMatchObject({ items: { rendered: ITEMS } })
    const { total, farm: time } = await farm.gateway.ledger({})
    const lives = [...ended, workers[2]!.soFar()]

    const { wallSeconds, renderSeconds, loadSeconds, idleSeconds, billedSeconds, unbilledSeconds } = time!
    expect(wallSeconds).toBeGreaterThan(lives.reduce((sum, { atLeast }) => sum + atLeast, 0))
    expect(wallSeconds).toBeLessThan(lives.reduce((sum, { atMost }) => sum + atMost, 0))
    expect(billedSeconds + unbilledSeconds + loadSeconds + idleSeconds).toBeCloseTo(wallSeconds, 6)
    expect(billedSeconds).toBeCloseTo(await deviceSecondsOfRecords(farm, id), 6)
    expect(billedSeconds).toBe(total.deviceSeconds)
    // Prompts are encoded for nobody's account, and the killed worker's last steps are lost; all in all it is the smaller part.
    expect(unbilledSeconds).toBeGreaterThan(0)
    expect(unbilledSeconds).toBeLessThan(billedSeconds)
    expect(renderSeconds).toBeCloseTo(billedSeconds + unbilledSeconds, 6)
    // What the killed worker had in its hands; what the drained one handed back is no retry.
    expect(total.retries).toBeLessThanOrEqual(2)
    // Each of the three loaded the checkpoint, and had nothing to do before the batch came.
    expect(loadSeconds).toBeGreaterThan(0)
    expect(idleSeconds).toBeGreaterThan(0)
  },
)
