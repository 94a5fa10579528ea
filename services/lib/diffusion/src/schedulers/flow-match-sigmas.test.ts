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
