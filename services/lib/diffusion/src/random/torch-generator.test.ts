import { describe, expect, test } from 'vitest'
import { TorchGenerator } from './torch-generator.ts'

/** torch.randn(4, generator=torch.Generator().manual_seed(0)) */
const FOUR_OF_SEED_0 = [1.5409960746765137, -0.293428897857666, -2.1787893772125244, 0.5684312582015991]

describe('TorchGenerator', () => {
  test('draws what torch draws, few numbers at a time', () => {
    expect([...new TorchGenerator(0).randn(4)]).toEqual(FOUR_OF_SEED_0)
  })

  test('keeps the second half of a pair for the next draw', () => {
    const generator = new TorchGenerator(0)
    expect([...generator.randn(1), ...generator.randn(3)]).toEqual(FOUR_OF_SEED_0)
  })

  test.for([1, 15, 16, 17, 100, 768])('goes on from its state in the midst of draws of %i', (size) => {
    const straight = new TorchGenerator(42)
    straight.randn(size)
    const resumed = new TorchGenerator(structuredClone(straight.state()))
    expect(resumed.randn(size)).toEqual(straight.randn(size))
    expect(resumed.randn(3)).toEqual(straight.randn(3))
  })

  test('a state that was taken does not move with the generator', () => {
    const generator = new TorchGenerator(1)
    const state = generator.state()
    const first = generator.randn(700)
    expect(new TorchGenerator(state).randn(700)).toEqual(first)
  })

  test('looks at the low 32 bits of a seed', () => {
    expect(new TorchGenerator(2 ** 32 + 5).randn(20)).toEqual(new TorchGenerator(5).randn(20))
    expect(new TorchGenerator(-1).randn(20)).toEqual(new TorchGenerator(2n ** 64n - 1n).randn(20))
  })

  test.for([1.5, Number.NaN, 2 ** 53])('refuses %s for a seed', (seed) => {
    expect(() => new TorchGenerator(seed)).toThrow(RangeError)
  })
})
