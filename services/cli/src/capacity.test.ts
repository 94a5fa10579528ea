import { expect, test } from 'vitest'
import { planCapacity } from './capacity.ts'
import type { CapacityRequest } from './capacity.ts'

const REQUEST: CapacityRequest = {
  workers: 4,
  prompts: 400,
  imageSeconds: 1,
  speeds: [1],
  checkpoints: 1,
  loadSeconds: 10,
  killedPerHour: 0,
  loseAfter: 30,
}

test('a batch takes its work over the workers and a load, and not much more', async () => {
  const { seconds, workerHours, busyShare, loads } = await planCapacity(REQUEST)
  expect(seconds).toBeGreaterThan(110)
  expect(seconds).toBeLessThan(140)
  expect(workerHours).toBeCloseTo((4 * seconds) / 3600)
  expect(busyShare).toBeCloseTo(400 / (4 * seconds), 1)
  expect(loads).toBe(4)
})

test('twice the workers take half the time; half of them at half the speed take a third more', async () => {
  const { seconds: one } = await planCapacity({ ...REQUEST, prompts: 4_000 })
  const { seconds: two } = await planCapacity({ ...REQUEST, prompts: 4_000, workers: 8 })
  expect(one / two).toBeGreaterThan(1.85)
  const { seconds: mixed } = await planCapacity({ ...REQUEST, prompts: 4_000, speeds: [1, 0.5] })
  expect(mixed / one).toBeGreaterThan(1.3)
  expect(mixed / one).toBeLessThan(1.4)
})

test('workers that are gone cost time and no images, and are not paid for', async () => {
  const all = await planCapacity({ ...REQUEST, prompts: 4_000 })
  const half = await planCapacity({ ...REQUEST, prompts: 4_000, lose: 0.5, loseAfter: 60 })
  expect(half.seconds / all.seconds).toBeGreaterThan(1.7)
  expect(half.workerHours / all.workerHours).toBeLessThan(1.1)
})
