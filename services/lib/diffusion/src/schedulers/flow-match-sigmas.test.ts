import { describe, expect, test } from 'vitest'
import { schedulerFromConfig } from './from-config.ts'
import type { PlanRequest } from './scheduler.ts'

describe('schedules of flows that cannot be', () => {
  const steps = (numInferenceSteps: number): PlanRequest => ({ numInferenceSteps })

  test.for<{ why: string; settings: Record<string, unknown>; request: PlanRequest; says: string }>([
    {
      why: 'one step that should also end at shift_terminal',
      settings: { shift_terminal: 0.1 },
      request: steps(1),
      says: 'shift_terminal is 0.1 at 1 steps',
    },
    {
      why: 'an end at pure noise',
      settings: { shift_terminal: 1 },
      request: steps(5),
      says: 'shift_terminal is 1 at 5 steps',
    },
    { why: 'a shift of nothing', settings: { shift: 0 }, request: steps(5), says: 'with shift 0' },
    {
      why: 'exponential spacing down to 0',
      settings: { use_exponential_sigmas: true },
      request: { sigmas: [0.9, 0.4, 0] },
      says: 'no sigma of 0',
    },
    {
      why: 'dynamic shifting by nothing',
      settings: { use_dynamic_shifting: true },
      request: steps(5),
      says: 'mu is missing',
    },
  ])('$why is refused', ({ settings, request, says }) => {
    const { scheduler, config } = schedulerFromConfig('FlowMatchEulerDiscreteScheduler', settings)
    expect(() => scheduler.plan(config, request)).toThrow(says)
  })
})

test('levels that are given stay in float32 through shift and end, to the bit as numpy has them', () => {
  const { scheduler, config } = schedulerFromConfig('FlowMatchEulerDiscreteScheduler', {
    shift: 1.15,
    shift_terminal: 0.1,
  })
  const { sigmas } = scheduler.plan(config, { sigmas: [0.793, 0.659, 0.506, 0.461] })
  expect([...sigmas!]).toEqual([0.6697428822517395, 0.44600170850753784, 0.18031418323516846, 0.10000002384185791, 0])
})
