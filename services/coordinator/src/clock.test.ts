import { expect, test, vi } from 'vitest'
import { SYSTEM_CLOCK } from './clock.ts'

test('a correction of the wall clock moves documents and not decisions', () => {
  const before = SYSTEM_CLOCK.nowMs()
  const wall = vi.spyOn(Date, 'now').mockReturnValue(0)
  expect(SYSTEM_CLOCK.nowMs() - before).toBeGreaterThanOrEqual(0)
  expect(SYSTEM_CLOCK.nowMs() - before).toBeLessThan(60_000)
  wall.mockRestore()
})
