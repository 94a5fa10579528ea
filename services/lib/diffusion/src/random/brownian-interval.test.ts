import { describe, expect, test } from 'vitest'
import { BrownianInterval } from './brownian-interval.ts'

/**
 * torchsde.BrownianInterval(t0=0.03125, t1=14.25, size=(20,), dtype=torch.float32, entropy=seed, tol=1e-6, pool_size=24,
 * halfway_tree=True)(from, to)
 */
const INCREMENTS = [
  {
    seed: 0,
    from: 0.5,
    to: 1.5,
    first: [-0.36399468779563904, -0.2548229694366455, -0.34287434816360474, 0.2678408622741699],
    last: -1.1389639377593994,
  },
  {
    seed: 2 ** 40 + 7,
    from: 2,
    to: 14.25,
    first: [0.8020682334899902, -1.2659575939178467, 7.748620986938477, -7.167525291442871],
    last: -5.462525844573975,
  },
  {
    seed: 3,
    from: 0.03125,
    to: 0.0312579,
    first: [-0.0019605648703873158, -0.00043173134326934814, -0.0004995743511244655, -0.0029403262306004763],
    last: 0.002553506288677454,
  },
]

function interval(seed: number): BrownianInterval {
  return new BrownianInterval(0.03125, 14.25, 20, seed)
}

describe('BrownianInterval', () => {
  test.for(INCREMENTS)('moves from $from to $to as with torchsde', ({ seed, from, to, first, last }) => {
    const increment = interval(seed).increment(from, to)
    expect([...increment.subarray(0, 4)]).toEqual(first)
    expect(increment[19]).toBe(last)
  })

  test('answers alike whatever it was asked before', () => {
    const asked = interval(1)
    for (const [from, to] of [[1, 2], [0.7, 2], [0.7, 0.9]] as const) asked.increment(from, to) // prettier-ignore
    expect(asked.increment(0.9, 1)).toEqual(interval(1).increment(0.9, 1))
  })

  test('downwards it moves by the negative', () => {
    const up = interval(1).increment(1, 2)
    expect(interval(1).increment(2, 1)).toEqual(up.map((x) => -x))
  })

  test('stands still where there is no way to go, and beyond its ends', () => {
    expect(interval(1).increment(3, 3)).toEqual(new Float32Array(20))
    expect(interval(1).increment(14.25, 15)).toEqual(new Float32Array(20))
    expect(interval(1).increment(14, 15)).toEqual(interval(1).increment(14, 14.25))
  })
})
