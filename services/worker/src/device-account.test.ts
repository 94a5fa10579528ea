import { expect, test } from 'vitest'
import { DeviceAccount } from './device-account.ts'
import type { DeviceTime } from './engine/device-clock.ts'

/** A device whose clock and calendar are set by hand. */
function played() {
  const state = { time: timeOf(0, 0, 0), now: new Date('2026-11-27T23:59:50Z') }
  const passed: DeviceTime[] = []
  const account = new DeviceAccount({
    clock: { read: () => state.time },
    events: { deviceTimePassed: (time) => passed.push(time) },
    now: () => state.now,
  })
  return { state, passed, account, [Symbol.dispose]: () => account[Symbol.dispose]() }
}

function timeOf(wallSeconds: number, renderSeconds: number, loadSeconds: number): DeviceTime {
  return { wallSeconds, renderSeconds, loadSeconds }
}

test('what passed before midnight is told as of that day, and what came after as of the next', () => {
  using device = played()
  const { state, account } = device
  state.time = timeOf(9, 5, 2)
  expect(account.days()).toMatchObject([{ day: '2026-11-27', ...timeOf(9, 5, 2) }])
  state.now = new Date('2026-11-28T00:00:10Z')
  state.time = timeOf(20, 12, 3)
  expect(account.days()).toMatchObject([
    { day: '2026-11-27', ...timeOf(9, 5, 2) },
    { day: '2026-11-28', ...timeOf(11, 7, 1) },
  ])
})

test('the day before is told of, and none before that', () => {
  using device = played()
  for (const day of [28, 29]) {
    device.state.now = new Date(`2026-11-${day}T12:00:00Z`)
    device.account.days()
  }
  expect(device.account.days().map(({ day }) => day)).toEqual(['2026-11-28', '2026-11-29'])
})

test('every second is counted once, however often the days are asked for', () => {
  using device = played()
  for (let second = 1; second <= 5; second++) {
    device.state.time = timeOf(second, second / 2, second / 4)
    device.account.days()
    device.account.days()
  }
  const sum = (of: keyof DeviceTime): number => device.passed.reduce((all, time) => all + time[of], 0)
  expect([sum('wallSeconds'), sum('renderSeconds'), sum('loadSeconds')]).toEqual([5, 2.5, 1.25])
})
