import { createLogger } from '@darkroom/chassis'
import { WorkerState } from '@darkroom/proto'

import { expect, test } from 'vitest'
import { Lifecycle } from './state.ts'

test('a worker starts, renders, idles and drains', () => {
  const lifecycle = new Lifecycle(createLogger('test', 'silent'))
  const { IDLE, RENDERING, DRAINING } = WorkerState
  for (const state of [IDLE, RENDERING, RENDERING, IDLE, DRAINING, DRAINING]) {
    lifecycle.to(state)
    expect(lifecycle.state).toBe(state)
  }
})

test('nothing comes after draining, and a bug that tries is told of with both names', () => {
  const lifecycle = new Lifecycle(createLogger('test', 'silent'))
  lifecycle.to(WorkerState.DRAINING)
  expect(() => lifecycle.to(WorkerState.IDLE)).toThrow(/from \w*DRAINING to \w*IDLE/)
})
