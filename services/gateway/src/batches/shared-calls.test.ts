import { expect, test } from 'vitest'
import { SharedCalls } from './shared-calls.ts'

/** Calls that the test answers, in the order that they were made in. */
function played() {
  const made: { key: string; answer: PromiseWithResolvers<number> }[] = []
  const calls = new SharedCalls((key) => {
    const answer = Promise.withResolvers<number>()
    made.push({ key, answer })
    return answer.promise
  })
  return { calls, made }
}

test('who asks while an answer is on its way shares the next one with all others who do', async () => {
  const { calls, made } = played()
  const first = calls.ask('b')
  const others = [calls.ask('b'), calls.ask('b'), calls.ask('b')]
  expect(made).toHaveLength(1)
  made[0]!.answer.resolve(1)
  expect(await first).toBe(1)
  await expect.poll(() => made.length).toBe(2)
  made[1]!.answer.resolve(2)
  expect(await Promise.all(others)).toEqual([2, 2, 2])
  expect(made).toHaveLength(2)
})

test('other keys are other calls, and nothing is kept of an answer', async () => {
  const { calls, made } = played()
  const asked = [calls.ask('a'), calls.ask('b')]
  expect(made.map(({ key }) => key)).toEqual(['a', 'b'])
  for (const { answer } of made) answer.resolve(1)
  await Promise.all(asked)
  const again = calls.ask('a')
  made[2]!.answer.resolve(3)
  expect(await again).toBe(3)
})

test('a call that fails fails for those who share it alone', async () => {
  const { calls, made } = played()
  const first = calls.ask('b')
  const second = calls.ask('b')
  made[0]!.answer.reject(new Error('away'))
  await expect(first).rejects.toThrow('away')
  await expect.poll(() => made.length).toBe(2)
  made[1]!.answer.resolve(2)
  expect(await second).toBe(2)
})
