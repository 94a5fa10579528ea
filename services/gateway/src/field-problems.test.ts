import { expect, test } from 'vitest'
import { nearestName, Problems, shown } from './field-problems.ts'

const SCHEDULERS = ['DDIMScheduler', 'DDPMScheduler', 'EulerDiscreteScheduler', 'PNDMScheduler']

test.for([
  ['Euler', 'EulerDiscreteScheduler'],
  ['euler_discrete', 'EulerDiscreteScheduler'],
  ['DDMPScheduler', 'DDPMScheduler'],
  ['ddim', 'DDIMScheduler'],
])('%s is taken for %s', ([given, meant]) => {
  expect(nearestName(given!, SCHEDULERS)).toBe(meant)
})

test('a name that is near to none is not guessed at', () => {
  expect(nearestName('Karras', SCHEDULERS)).toBeNull()
  expect(nearestName('', SCHEDULERS)).toBeNull()
})

test('a value is shown short, well-formed, and never walked into', () => {
  const deep: unknown = JSON.parse('['.repeat(20_000) + ']'.repeat(20_000))
  expect(shown(deep)).toBe('[…]')
  expect(shown('x'.repeat(500))).toBe(`${'x'.repeat(80)}…`)
  expect(String(shown('😀'.repeat(50))).isWellFormed()).toBe(true)
})

test('only the first twenty problems are kept', () => {
  const problems = new Problems()
  for (let line = 1; line <= 30; line++) problems.add({ line, message: 'is wrong' })
  expect(problems.list.map(({ line }) => line)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
})
