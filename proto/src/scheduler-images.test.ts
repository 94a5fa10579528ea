import { expect, test } from 'vitest'
import { schedulerImagesOf } from './scheduler-images.ts'

test('what each scheduler has to do is read from batch.json', () => {
  const read = schedulerImagesOf({ imageCount: 5, schedulerImages: { DDIMScheduler: 4, PNDMScheduler: 1 } })
  expect([...read]).toEqual([
    ['DDIMScheduler', 4],
    ['PNDMScheduler', 1],
  ])
})

test.for([
  ['absent', undefined],
  ['of a wrong sum', { DDIMScheduler: 4 }],
  ['negative', { DDIMScheduler: 6, PNDMScheduler: -1 }],
  ['in fractions', { DDIMScheduler: 2.5, PNDMScheduler: 2.5 }],
] as const)('counts that are %s say nothing', ([, schedulerImages]) => {
  expect(schedulerImagesOf({ imageCount: 5, ...(schedulerImages && { schedulerImages }) }).size).toBe(0)
})
