import { describeCheckpoint } from '@darkroom/diffusion'
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { KnownCheckpoint } from './known-checkpoint.ts'

const EMOJI = path.resolve(import.meta.dirname, '../../../../deploy/checkpoints/emoji-sd')

/** The shipped checkpoint, but for what its scheduler's config says. */
function checkpointWith(schedulerConfig: object): KnownCheckpoint {
  const files = globSync('{*,*/*}.json', { cwd: EMOJI })
  const configs = Object.fromEntries(
    files.map((file) => [file, JSON.parse(readFileSync(path.join(EMOJI, file), 'utf8')) as object]),
  )
  const scheduler = 'scheduler/scheduler_config.json'
  const pin = `emoji-sd@sha256:${'0'.repeat(64)}`
  return new KnownCheckpoint(
    pin,
    describeCheckpoint({ ...configs, [scheduler]: { ...configs[scheduler], ...schedulerConfig } }),
  )
}

test('a scheduler that cannot plan with what the checkpoint is trained on is refused with the remedy', () => {
  const checkpoint = checkpointWith({ _class_name: 'EulerDiscreteScheduler', prediction_type: 'sample' })
  expect(checkpoint.scheduler('EulerDiscreteScheduler')).toMatchObject({ name: 'EulerDiscreteScheduler' })
  expect(checkpoint.scheduler('DPM2')).toEqual([
    {
      field: 'scheduler',
      value: 'KDPM2DiscreteScheduler',
      message: expect.stringMatching(
        /prediction_type .* is "sample"; want one of .*override the key in schedulerConfig/,
      ),
    },
  ])
  expect(checkpoint.scheduler('DPM2', { prediction_type: 'epsilon' })).toMatchObject({ name: 'KDPM2DiscreteScheduler' })
})
