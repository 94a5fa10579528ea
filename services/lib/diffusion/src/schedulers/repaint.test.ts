import { describe, expect, test } from 'vitest'
import { drawNoise } from '../random/draw-noise.ts'
import { TorchGenerator } from '../random/torch-generator.ts'
import { schedulerFromConfig } from './from-config.ts'

describe('RePaintScheduler', () => {
  test('ends where diffusers ends, after every step that is undone and done again', () => {
    const { scheduler, config } = schedulerFromConfig('RePaintScheduler', { eta: 0.5 })
    const plan = scheduler.plan(config, { numInferenceSteps: 20, jumpLength: 5, jumpNSample: 2 })
    const generator = new TorchGenerator(0)
    let sample = generator.randn(16)
    const options = {
      originalImage: Float32Array.from({ length: 16 }, (_, j) => -1 + (2 * j) / 15),
      maskImage: Float32Array.from({ length: 16 }, (_, j) => (j + 1) % 2),
    }
    for (const i of plan.timesteps.keys()) {
      const noise = drawNoise(scheduler.noiseOf(plan, i, options), 16, generator, 0)
      const output = sample.map((x) => 0.1 * x)
      const next = new Float32Array(16)
      scheduler.step(plan, i, output, sample, null, noise, options, next)
      sample = next
    }
    // diffusers 0.40.0 with torch's generator on the processor
    const expected = [
      -1, 0.9977969, -0.7333333, -0.09681433, -0.4666666, -0.9376785, -0.2, 0.01564175, 0.06666662, -0.9353294,
      0.3333333, -0.6088156, 0.6, -0.6574871, 0.8666667, 0.2340677,
    ]
    for (const [j, value] of expected.entries()) expect(sample[j]).toBeCloseTo(value, 5)
  })

  test('asks for the picture and the mask', () => {
    const { scheduler, config } = schedulerFromConfig('RePaintScheduler', {})
    const plan = scheduler.plan(config, { numInferenceSteps: 5 })
    const [sample, out] = [new Float32Array(4), new Float32Array(4)]
    expect(() => scheduler.step(plan, 0, sample, sample, null, [sample], {}, out)).toThrow(
      'originalImage or maskImage is missing',
    )
  })
})
