import { expect, test } from 'vitest'
import { findMetricProblems, Metrics } from './metrics.ts'

test('two services in one process keep metrics of the same name apart', async () => {
  const [one, other] = [new Metrics(), new Metrics()]
  one.counter('darkroom_images_total', 'Images rendered.', ['scheduler']).inc({ scheduler: 'DDIMScheduler' }, 3)
  other.counter('darkroom_images_total', 'Images rendered.', ['scheduler'])
  expect(await one.registry.metrics()).toContain('darkroom_images_total{scheduler="DDIMScheduler"} 3')
  expect(await other.registry.metrics()).not.toContain('DDIMScheduler')
})

test("the process's own figures are there", async () => {
  expect(await new Metrics().registry.metrics()).toMatch(/^process_resident_memory_bytes \d+$/m)
})

test('a name without the prefix is refused at once', () => {
  expect(() => new Metrics().counter('images_total', 'Images rendered.')).toThrow(/darkroom_/)
})

test('well-formed metrics have no problems', () => {
  const metrics = new Metrics()
  metrics.counter('darkroom_images_total', 'Images rendered.', ['scheduler', 'task'])
  metrics.gauge('darkroom_gpu_memory_bytes', 'Memory in use.', ['gpu'])
  metrics.histogram('darkroom_unet_step_seconds', 'Time of one UNet call.', ['stage'], [0.1, 1])
  expect(findMetricProblems(metrics.registry)).toEqual([])
})

test('each kind of problem is found and names its metric', () => {
  const metrics = new Metrics()
  metrics.counter('darkroom_images', 'Images rendered.')
  metrics.gauge('darkroom_waiting_total', 'Shards that wait.')
  metrics.gauge('darkroom_latency_ms', 'Time of something.')
  metrics.gauge('darkroom_queueDepth_shards', 'Shards that wait.')
  metrics.gauge('darkroom_help_seconds', '  ')
  metrics.counter('darkroom_prompts_total', 'Prompts seen.', ['batchId'])
  expect(findMetricProblems(metrics.registry)).toEqual([
    expect.stringMatching(/^darkroom_images: counters, and only they, end in _total/),
    expect.stringMatching(/^darkroom_waiting_total: counters, and only they, end in _total/),
    expect.stringMatching(/^darkroom_waiting_total: ends in no known unit/),
    expect.stringMatching(/^darkroom_latency_ms: ends in no known unit/),
    expect.stringMatching(/^darkroom_queueDepth_shards: not in snake case/),
    expect.stringMatching(/^darkroom_help_seconds: needs a help text/),
    expect.stringMatching(/^darkroom_prompts_total: label 'batchId' is not in the closed list$/),
  ])
})
