import { expect, test } from 'vitest'
import { readConfig } from '../config.ts'
import { createLogger } from '../log.ts'
import { Metrics } from '../metrics.ts'
import { inSpan, traceparentNow } from './spans.ts'
import { startTracing, TRACING_VARIABLES } from './tracing.ts'

const start = (environment: Record<string, string>): Promise<AsyncDisposable> =>
  startTracing({
    config: readConfig(TRACING_VARIABLES, environment),
    service: 'darkroom-test',
    instance: null,
    metrics: new Metrics(),
    log: createLogger('test', 'silent'),
  })

test('without a collector there are no spans, and what is done in them is done', async () => {
  await using _tracing = await start({})
  const parent = '00-aaaabbbbccccddddeeeeffff00001111-1234567890abcdef-01'
  expect(await inSpan('work', { parent }, async () => ['done', traceparentNow()])).toEqual(['done', null])
})

test.each(['no pair', '=value', 'name=100%'])(
  'headers that are none are an error that names them: %s',
  async (headers) => {
    await expect(
      start({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318', OTEL_EXPORTER_OTLP_HEADERS: headers }),
    ).rejects.toMatchObject({ code: 'INVALID_CONFIG', problems: [{ field: 'OTEL_EXPORTER_OTLP_HEADERS' }] })
  },
)
