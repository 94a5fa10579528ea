import { expect, test } from 'vitest'
import { startCollector } from './collector.harness.ts'
import type { CollectedSpan } from './collector.harness.ts'
import { manyItems, startTestFarm } from './farm.harness.ts'
import type { TestFarm } from './farm.harness.ts'

const TRACE = 'aaaabbbbccccddddeeeeffff00001111'
const CALLER = '1234567890abcdef'
const to = (url: string) => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: url }
  return { gateway: env, coordinator: env, worker: env }
}

async function render(farm: TestFarm, traceparent: string, items = manyItems(2, 4)): Promise<string> {
  const response = await fetch(`${farm.farm.gatewayUrl}/api/v1/batches`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent },
    body: JSON.stringify({ items }),
  })
  const { id } = (await response.json()) as { id: string }
  expect(await farm.end(id)).toMatchObject({ state: 'completed' })
  return id
}

const namesOf = (spans: readonly CollectedSpan[], service: string): Set<string> =>
  new Set(spans.filter((span) => span.service === `darkroom-${service}`).map(({ name }) => name))

/** Names from a span up to what called from outside. */
function pathOf(spans: readonly CollectedSpan[], from: CollectedSpan): string[] {
  const names = [from.name]
  for (let span = from; span.parentSpanId !== CALLER;) {
    span = spans.find(({ spanId }) => spanId === span.parentSpanId)!
    names.push(span.name)
  }
  return names
}

test(
  'a batch is one trace from the request to the pictures in the store, below what the caller sent',
  { timeout: 60_000 },
  async () => {
    await using collector = await startCollector()
    {
      // The services send what is left when they stop.
      await using farm = await startTestFarm({ workers: 1, env: to(collector.url) })
      await render(farm, `00-${TRACE}-${CALLER}-01`)
    }
    const spans = collector.spans.filter(({ traceId }) => traceId === TRACE)
    expect(namesOf(spans, 'gateway')).toContain('POST /api/v1/batches')
    expect([...namesOf(spans, 'coordinator')]).toEqual(
      expect.arrayContaining([
        'darkroom.v1.CoordinatorService/SubmitBatch',
        'plan segment',
        'dispatch shard',
        'finish batch',
      ]),
    )
    expect([...namesOf(spans, 'worker')]).toEqual(
      expect.arrayContaining(['render shard', 'hold checkpoints', 'render image', 'encode picture', 'S3 PutObject']),
    )
    for (const span of spans) expect(pathOf(spans, span).at(-1)).toBe('POST /api/v1/batches')
    const image = spans.find(({ name }) => name === 'render image')!
    expect(pathOf(spans, image)).toEqual(['render image', 'render shard', 'dispatch shard', 'POST /api/v1/batches'])
    expect(image.attributes).toContainEqual({ key: 'darkroom.scheduler', value: { stringValue: 'PNDMScheduler' } })
    expect(spans.filter(({ name }) => name === 'render image')).toHaveLength(2)
  },
)

test(
  'a caller that keeps no trace is followed in that, and what services do by themselves is none',
  { timeout: 60_000 },
  async () => {
    await using collector = await startCollector()
    {
      await using farm = await startTestFarm({ workers: 1, env: to(collector.url) })
      await render(farm, `00-${TRACE}-${CALLER}-00`)
    }
    expect(collector.spans.filter(({ traceId }) => traceId === TRACE)).toEqual([])
    const roots = collector.spans.filter(({ parentSpanId }) => parentSpanId === undefined)
    expect(new Set(roots.map(({ service }) => service))).toEqual(new Set(['darkroom-gateway']))
  },
)

test('a collector that is away costs its spans and nothing else', { timeout: 60_000 }, async () => {
  const gone = await startCollector()
  await gone[Symbol.asyncDispose]()
  await using farm = await startTestFarm({ workers: 1, env: to(gone.url) })
  const id = await render(farm, `00-${TRACE}-${CALLER}-01`)
  expect(await farm.verify(id)).toMatchObject({ violations: [] })
})
