import { describe, expect, test } from 'vitest'
import { BrownianInterval } from './brownian-interval.ts'
import { drawNoise } from './draw-noise.ts'
import { TorchGenerator } from './torch-generator.ts'

const PATH = { range: [0.5, 8], from: 4, to: 2 } as const

describe('drawNoise', () => {
  test('draws nothing where nothing is asked for', () => {
    expect(drawNoise(null, 20, new TorchGenerator(1), 1)).toEqual([])
  })

  test('draws one after the other, as torch.randn does', () => {
    const generator = new TorchGenerator(1)
    expect(drawNoise({ draws: 2 }, 20, new TorchGenerator(1), 1)).toEqual([generator.randn(20), generator.randn(20)])
  })

  test.for([
    { seed: null, of: "the image's own path", used: 1 },
    { seed: 7, of: 'the path of a seed that is given', used: 7 },
  ])('takes an increment of $of and leaves the generator alone', ({ seed, used }) => {
    const generator = new TorchGenerator(1)
    const expected = new BrownianInterval(0.5, 8, 20, used).increment(4, 2)
    expect(drawNoise({ brownian: { ...PATH, seed } }, 20, generator, 1)).toEqual([expected])
    expect(generator.randn(20)).toEqual(new TorchGenerator(1).randn(20))
  })

  test('a generator whose path changes gets the increments of the new one', () => {
    const generator = new TorchGenerator(1)
    drawNoise({ brownian: { ...PATH, seed: 3 } }, 20, generator, 1)
    const expected = new BrownianInterval(0.5, 8, 10, 4).increment(4, 2)
    expect(drawNoise({ brownian: { ...PATH, seed: 4 } }, 10, generator, 1)).toEqual([expected])
  })
})
