import { expect, test } from 'vitest'
import { Limit } from './limit.ts'

test('no more run at once than allowed, all run, in order', async () => {
  const limit = new Limit(2)
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>())
  const started: number[] = []
  const all = gates.map(({ promise }, i) =>
    limit.run(async () => {
      started.push(i)
      await promise
      return i
    }),
  )
  expect(started).toEqual([0, 1])
  gates[1]!.resolve()
  await all[1]
  gates[2]!.reject(new Error('failed'))
  for (const i of [0, 3, 4]) gates[i]!.resolve()
  expect((await Promise.allSettled(all)).map(({ status }) => status)).toEqual([
    'fulfilled',
    'fulfilled',
    'rejected',
    'fulfilled',
    'fulfilled',
  ])
  expect(started).toEqual([0, 1, 2, 3, 4])
})

test('what is to be first overtakes what waits, not what runs', async () => {
  const limit = new Limit(1)
  const order: string[] = []
  const gate = Promise.withResolvers<void>()
  const add = (name: string, isFirst: boolean): Promise<void> =>
    limit.run(async () => {
      order.push(name)
      await gate.promise
    }, isFirst)
  const all = [add('a', false), add('b', false), add('first', true), add('c', false), add('second', true)]
  gate.resolve()
  await Promise.all(all)
  expect(order).toEqual(['a', 'first', 'second', 'b', 'c'])
})
