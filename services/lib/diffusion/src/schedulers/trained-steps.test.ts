import { expect, test } from 'vitest'
import { schedulerFromConfig } from './from-config.ts'

test.for([
  'DDIMScheduler',
  'DDIMParallelScheduler',
  'DDPMScheduler',
  'DDPMParallelScheduler',
  'DDIMInverseScheduler',
  'CMStochasticIterativeScheduler',
] as const)('%s, whose steps are timesteps of the training, refuses more of them than there are', (name) => {
  const { scheduler, config } = schedulerFromConfig(name, {})
  const tooMany = Number(config['num_train_timesteps']) + 1
  expect(() => scheduler.plan(config, { numInferenceSteps: tooMany })).toThrow(
    `numInferenceSteps is ${tooMany}; want an integer from 1 to ${tooMany - 1} (num_train_timesteps).`,
  )
})

test.for(['LCMScheduler', 'TCDScheduler'] as const)('%s refuses more steps than there are to skip', (name) => {
  const { scheduler, config } = schedulerFromConfig(name, {})
  const tooMany = Number(config['num_train_timesteps']) + 1
  expect(() => scheduler.plan(config, { numInferenceSteps: tooMany })).toThrow(RangeError)
})
