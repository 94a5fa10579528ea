import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { manyItems, startTestFarm } from './farm.harness.ts'
import type { TestFarm } from './farm.harness.ts'

const ITEMS = 48
const CLI = path.join(import.meta.dirname, '../../services/cli/src/main.ts')

/** Small shards, so that every process is killed with work in its hands and work left. */
const SMALL_SHARDS = { env: { coordinator: { DARKROOM_COORDINATOR_TARGET_SHARD_SECONDS: '1' } } }

async function submitAndStart(farm: TestFarm): Promise<string> {
  const { id } = await farm.gateway.submitJson({ items: manyItems(ITEMS) })
  const batch = await farm.until(id, ({ items }) => items.rendered > 0)
  expect(batch.items.open).toBeGreaterThan(0)
  return id
}

/** Through the command, as an operator would. */
async function expectClean(farm: TestFarm, id: string): Promise<void> {
  const batch = await farm.end(id)
  expect(batch.state).toBe('completed')
  expect(batch.items).toEqual({ open: 0, rendered: ITEMS, failed: 0, cancelled: 0 })
  expect(batch.schedulers.map(({ images, imageCount }) => `${images}/${imageCount}`)).toEqual(Array(4).fill('12/12'))
  const { stdout } = await promisify(execFile)(process.execPath, [CLI, '--json', 'verify', id], {
    env: { ...process.env, ...farm.farm.cliEnvironment },
  })
  const report = JSON.parse(stdout) as { violations: string[]; checked: { items: number; images: number } }
  expect(report.violations).toEqual([])
  expect(report.checked).toMatchObject({ items: ITEMS, images: ITEMS })
}

describe('a batch completes, nothing lost and nothing doubled,', () => {
  test('when a worker is killed in the middle of a shard', { timeout: 120_000 }, async () => {
    await using farm = await startTestFarm(SMALL_SHARDS)
    const id = await submitAndStart(farm)
    await farm.farm.kill('worker-1')
    await expectClean(farm, id)
  })

  test('when the coordinator is killed and started again', { timeout: 120_000 }, async () => {
    await using farm = await startTestFarm(SMALL_SHARDS)
    const id = await submitAndStart(farm)
    await farm.farm.kill('coordinator-0')
    await farm.farm.startCoordinator(0)
    await expectClean(farm, id)
  })

  test('when the leading coordinator is killed and a standby takes over', { timeout: 120_000 }, async () => {
    await using farm = await startTestFarm({ ...SMALL_SHARDS, coordinators: 2 })
    const id = await submitAndStart(farm)
    await farm.farm.kill('coordinator-0')
    await expectClean(farm, id)
  })

  test('when NATS loses all its storage', { timeout: 120_000 }, async () => {
    await using farm = await startTestFarm(SMALL_SHARDS)
    const id = await submitAndStart(farm)
    await farm.farm.wipeNats()
    await expectClean(farm, id)
  })
})

test('a cancelled batch ends with counts that sum, and keeps what was rendered', { timeout: 120_000 }, async () => {
  await using farm = await startTestFarm(SMALL_SHARDS)
  const id = await submitAndStart(farm)
  await farm.gateway.cancel(id)
  const { state, items } = await farm.end(id)
  expect(state).toBe('cancelled')
  expect(items.rendered + items.cancelled).toBe(ITEMS)
  expect(items.cancelled).toBeGreaterThan(0)
  const report = await farm.verify(id)
  expect(report.violations).toEqual([])
  expect(report.counts).toMatchObject({ rendered: items.rendered, cancelled: items.cancelled })
})

test(
  'a worker that is told to stop hands its shards back, and another renders them',
  { timeout: 120_000 },
  async () => {
    await using farm = await startTestFarm({ env: { ...SMALL_SHARDS.env, worker: { DARKROOM_WORKER_GRACE_MS: '0' } } })
    const id = await submitAndStart(farm)
    await farm.farm.kill('worker-2', 'SIGTERM')
    await expectClean(farm, id)
  },
)
