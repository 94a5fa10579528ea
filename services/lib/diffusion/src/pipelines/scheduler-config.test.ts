import { describe, expect, test } from 'vitest'
import { constructedSchedulerConfig } from './scheduler-config.ts'

const family = 'stable-diffusion'

describe("Stable Diffusion's pipelines", () => {
  test('correct what an old file says', () => {
    const old = { _class_name: 'DDIMScheduler', steps_offset: 0, clip_sample: true, beta_end: 0.012 }
    expect(constructedSchedulerConfig({ family, trainedScheduler: old }, 'text-to-image')).toEqual({
      ...old,
      steps_offset: 1,
      clip_sample: false,
    })
  })

  test("correct a class's default", () => {
    const silent = { _class_name: 'PNDMScheduler', beta_end: 0.012 }
    expect(constructedSchedulerConfig({ family, trainedScheduler: silent }, 'text-to-image')).toEqual({
      ...silent,
      steps_offset: 1,
    })
  })

  test('add no key that neither file nor class has', () => {
    const other = { _class_name: 'FlowMatchEulerDiscreteScheduler', shift: 3 }
    expect(constructedSchedulerConfig({ family, trainedScheduler: other }, 'text-to-image')).toEqual(other)
  })
})
