import { expect, test } from 'vitest'
import { inOrder } from './in-order.ts'

test('results come in order, however long each takes, and no more than so many are under way', async () => {
  let underWay = 0
  let most = 0
  const gates = Array.from({ length: 6 }, () => Promise.withResolvers<void>())
  const action = async (n: number): Promise<number> => {
    most = Math.max(most, ++underWay)
    await gates[n]!.promise
    underWay--
    return 10 * n
  }
  const all = Array.fromAsync(inOrder([0, 1, 2, 3, 4, 5], 3, action))
  for (const gate of gates.toReversed()) gate.resolve()
  expect(await all).toEqual([0, 10, 20, 30, 40, 50])
  expect(most).toBe(3)
})

test('a failure is thrown in its turn, after the results before it', async () => {
  const seen: number[] = []
  const failing = async (): Promise<void> => {
    for await (const n of inOrder([1, 2, 3, 4], 4, async (m) => (m > 2 ? Promise.reject(new Error(`no ${m}`)) : m)))
      seen.push(n)
  }
  await expect(failing()).rejects.toThrow('no 3')
  expect(seen).toEqual([1, 2])
})
