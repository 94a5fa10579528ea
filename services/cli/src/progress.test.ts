import { expect, test } from 'vitest'
import { batchJson } from './gateway.harness.ts'
import { duration, progressLine } from './progress.ts'

test('a running batch shows what is done, how fast and how long it will take', () => {
  const items = { open: 6, rendered: 3, failed: 1, cancelled: 0 }
  const batch = batchJson({ state: 'running', itemCount: 10, items, imagesPerSecond: 1.234, etaSeconds: 125 })
  expect(progressLine(batch)).toBe(`${batch.id}  running  4/10 items  1.23 images/s  ETA 2 min 5 s  1 failed`)
})

test('a batch that waits for a yes says how to give it', () => {
  const approval = { afterItems: 2, state: 'waiting' } as const
  const line = progressLine(batchJson({ id: 'b7', state: 'running', approval, endedAt: null }))
  expect(line).toContain('  running (waits for a yes)  ')
  expect(line).toContain('darkroom approve b7')
})

test('a paused batch says so, until it has ended', () => {
  expect(progressLine(batchJson({ state: 'running', paused: true, endedAt: null }))).toContain('  running (paused)  ')
  expect(progressLine(batchJson({ state: 'completed', paused: true }))).toContain('  completed  ')
})

test('a batch that will miss its deadline says so', () => {
  const late = batchJson({ state: 'running', completeBy: '2026-12-01T07:00:00.000Z', atRisk: true })
  expect(progressLine(late)).toContain('will miss 2026-12-01T07:00:00.000Z')
})

test('an unknown end is an ellipsis', () => {
  const items = { open: 10, rendered: 0, failed: 0, cancelled: 0 }
  expect(progressLine(batchJson({ state: 'queued', itemCount: 10, items }))).toContain('ETA …')
})

test.for([
  [0.4, '0 s'],
  [59.4, '59 s'],
  [59.6, '1 min 0 s'],
  [3599, '59 min 59 s'],
  [7260, '2 h 1 min'],
] as const)('%d seconds are %s', ([seconds, text]) => {
  expect(duration(seconds)).toBe(text)
})
