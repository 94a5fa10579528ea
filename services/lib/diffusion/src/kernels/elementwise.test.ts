import { describe, expect, test } from 'vitest'
import { TorchGenerator } from '../random/torch-generator.ts'
import { elementwise } from './elementwise.ts'
import { add, constant, div, max, min, mul, round, rounded, sqrt, sub } from './expression.ts'

const { fround } = Math
const generator = new TorchGenerator(7)
const x = generator.randn(1001)
const y = generator.randn(1001)

/** The same by a loop of JavaScript. */
const looped = (of: (x: number, y: number) => number): Float32Array => x.map((value, j) => of(value, y[j]!))

function run(
  define: Parameters<typeof elementwise>[0],
  numbers: readonly number[],
  vectors: readonly Float32Array[] = [x, y],
): Float32Array {
  const out = new Float32Array(vectors[0]!.length)
  elementwise(define)(numbers, vectors, out)
  return out
}

describe('an elementwise kernel gives what a loop gives, to the bit', () => {
  test('in double, rounded once at the end, where nothing says otherwise', () => {
    const numbers = [0.1, -1 / 3] as const
    expect(run(([a, b], [x, y]) => add(mul(a!, x!), mul(b!, y!)), numbers)).toEqual(
      looped((x, y) => numbers[0] * x + numbers[1] * y),
    )
  })

  test.for([
    ['float32 holds', fround(0.1), fround(-1 / 3)],
    ['only float64 holds', 0.1, -1 / 3],
  ] as const)('each operation rounded, with numbers that %s', ([, a, b]) => {
    expect(
      run(([a, b], [x, y]) => rounded.div(rounded.sub(rounded.mul(a!, x!), y!), rounded.add(b!, x!)), [a, b]),
    ).toEqual(looped((x, y) => fround(fround(fround(a * x) - y) / fround(b + x))))
  })

  test('where some operations are rounded and others are not', () => {
    expect(run(([a], [x, y]) => div(sub(x!, round(sub(x!, mul(a!, y!)))), a!), [0.3])).toEqual(
      looped((x, y) => (x - fround(x - 0.3 * y)) / 0.3),
    )
  })

  test('with roots, constants and a value that is used twice', () => {
    const define: Parameters<typeof elementwise>[0] = (_, [x, y]) => {
      const square = mul(x!, x!)
      return add(round(sqrt(square)), mul(add(square, constant(0.1)), y!))
    }
    expect(run(define, [])).toEqual(looped((x, y) => fround(Math.sqrt(x * x)) + (x * x + 0.1) * y))
  })

  test('NaN stays where others are bounded', () => {
    const values = Float32Array.of(NaN, -2, 0.5, 2, Infinity)
    expect(run(([low, high], [x]) => min(max(x!, low!), high!), [-1, 1], [values])).toEqual(
      Float32Array.of(NaN, -1, 0.5, 1, 1),
    )
  })
})

test('vectors of any length and number are worked on, also in place', () => {
  const sum = elementwise((_, vectors) => vectors.reduce((a, b) => add(a, b)))
  for (const size of [1, 3, 4, 100_003]) {
    const vectors = Array.from({ length: 20 }, (_, k) => new Float32Array(size + k).fill(k))
    const out = vectors[0]!
    sum([], vectors, out)
    expect(out).toEqual(new Float32Array(size).fill(190))
  }
})

test('a vector that is too short is refused', () => {
  expect(() => run((_, [x, y]) => add(x!, y!), [], [x, y.subarray(1)])).toThrow(
    'a vector has 1000 elements; want 1001.',
  )
})
