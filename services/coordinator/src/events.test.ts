import { createLogger, Metrics } from '@darkroom/chassis'
import { expect, test } from 'vitest'
import { openedOf, segmentOf, SETTINGS } from './core/decide.harness.ts'
import { decide } from './core/decide.ts'
import type { FarmEvent } from './core/messages.ts'
import { createState } from './core/state.ts'
import { createEvents } from './events.ts'

const HOUR_MS = 3_600_000
const SHARDS = 4
const ITEMS = 12

/** A farm without workers: one batch is paused and twelve hours old, the other is an hour old. */
function farmWith(...events: FarmEvent[]) {
  const farm = createState(SETTINGS, 0)
  const opened: FarmEvent[] = [
    openedOf('paused', 1, SHARDS, [segmentOf(0, SHARDS)], { isPaused: true, tenant: 'a' }),
    openedOf('waits', 1, SHARDS, [segmentOf(0, SHARDS)], { createdAtMs: 11 * HOUR_MS, tenant: 'b' }),
  ]
  for (const event of [...opened, ...events]) decide(farm, event, 0)
  return farm
}

/** What a scrape after twelve hours finds of gauges, by name and labels. */
async function scrape(farm: ReturnType<typeof farmWith> | null): Promise<Readonly<Record<string, number>>> {
  const metrics = new Metrics()
  createEvents(metrics, createLogger('events-test', 'silent')).observe(farm, 12 * HOUR_MS)
  const lines = (await metrics.registry.metrics()).matchAll(/^darkroom_(\S+) (\S+)$/gm)
  return Object.fromEntries(Array.from(lines, ([, series, value]) => [series!, Number(value)]))
}

test('what is paused is told apart from what waits, and from how old and how much that is', async () => {
  expect(await scrape(farmWith())).toMatchObject({
    'open_batches{state="paused"}': 1,
    'open_batches{state="running"}': 1,
    queue_items: ITEMS,
    paused_items: ITEMS,
    'queue_shards{state="planned"}': SHARDS,
    'queue_shards{state="paused"}': SHARDS,
    queue_oldest_age_seconds: 3600,
    // A second for each, as long as nothing was measured.
    queue_device_seconds: expect.closeTo(SHARDS),
    'tenant_queue_items{tenant="b"}': ITEMS,
  })
})

test('with all batches paused nothing waits and nothing is old', async () => {
  const found = await scrape(farmWith({ type: 'batchPaused', batchId: 'waits' }))
  expect(found).toMatchObject({
    'open_batches{state="paused"}': 2,
    queue_items: 0,
    paused_items: 2 * ITEMS,
    'queue_shards{state="planned"}': 0,
    queue_oldest_age_seconds: 0,
    queue_device_seconds: 0,
  })
  expect(Object.keys(found).filter((series) => series.startsWith('tenant_queue_items'))).toEqual([])
})

test('a batch that is resumed waits again and is as old as it is, and one that is cancelled is on hold no more', async () => {
  const waits = { paused_items: 0, queue_items: 2 * ITEMS, queue_oldest_age_seconds: 12 * 3600 }
  expect(await scrape(farmWith({ type: 'batchResumed', batchId: 'paused' }))).toMatchObject(waits)
  expect(await scrape(farmWith({ type: 'cancelRequested', batchId: 'paused' }))).toMatchObject({
    ...waits,
    'open_batches{state="paused"}': 0,
    'open_batches{state="cancelling"}': 1,
  })
})

test('a standby, which has no state, tells of nothing', async () => {
  expect(await scrape(null)).toMatchObject({ queue_items: 0, paused_items: 0, queue_oldest_age_seconds: 0 })
})
