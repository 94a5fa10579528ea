import { describe, expect, test } from 'vitest'
import type { SchedulerName } from '../schedulers/registry.ts'
import { SCHEDULERS } from '../schedulers/registry.ts'
import {
  advanceLane,
  createLane,
  isFinished,
  outputSize,
  restoreLane,
  rowsOf,
  snapshotLane,
  stepsLeft,
  timestepOf,
  writeModelInput,
} from './lane.ts'
import type { Lane } from './lane.ts'
import type { ImageRequest } from './image-request.ts'
import type { ModelSpec } from './model-spec.ts'
import { openRequest } from './opening.ts'

const SPEC: ModelSpec = {
  family: 'stable-diffusion',
  inChannels: 4,
  latentChannels: 4,
  learnsVariance: false,
  sampleSize: 8,
  vaeScaleFactor: 8,
  sizeMultiple: 8,
  maxSide: null,
  latents: { scalingFactor: 0.18215, shiftFactor: 0, mean: null, std: null },
  timeCondProjDim: null,
  jointAttentionDim: null,
  patchSize: 1,
  hasGuidanceEmbeds: false,
  forcesZerosForEmptyPrompt: false,
  requiresAestheticsScore: false,
  trainedScheduler: { beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012, steps_offset: 1 },
}

const REQUEST: ImageRequest = {
  task: 'text-to-image',
  width: 64,
  height: 32,
  scheduler: 'DDIMScheduler',
  schedulerConfig: {},
  numInferenceSteps: 5,
  guidanceScale: 7.5,
  eta: 0.5,
  seed: 3,
}

const PICTURE = { width: 64, height: 32, channels: 3, data: new Uint8Array(3 * 64 * 32) } as const

/** A model whose rows differ, so that guidance does something. */
function model(batch: Float32Array, rowSize: number, timestep: number): Float32Array {
  return batch.map((x, j) => 0.3 * x + 0.01 * Math.floor(j / rowSize) + timestep / 1e5)
}

/** One tick over lanes at any steps: all their rows in one call of the model. */
function tick(lanes: readonly Lane[]): void {
  for (const [timestep, group] of Map.groupBy(lanes, timestepOf)) {
    const size = group[0]!.latents.length
    const batch = new Float32Array(group.reduce((rows, lane) => rows + rowsOf(lane.spec, lane.request), 0) * size)
    let offset = 0
    const offsets = group.map((lane) => {
      const at = offset
      writeModelInput(lane, batch, at)
      offset += rowsOf(lane.spec, lane.request) * size
      return at
    })
    const output = batch.map((_, j) => j)
    for (const [k, lane] of group.entries()) {
      const rows = batch.slice(offsets[k], offsets[k]! + rowsOf(lane.spec, lane.request) * size)
      output.set(model(rows, size, timestep), offsets[k])
    }
    for (const [k, lane] of group.entries()) advanceLane(lane, output, offsets[k]!)
  }
}

function render(lane: Lane): Float32Array {
  while (!isFinished(lane)) tick([lane])
  return lane.latents
}

/** Classes that make sense of this checkpoint's config: unCLIP has betas of its own, RePaint wants a picture at each step. */
const SCHEDULER_NAMES = (Object.keys(SCHEDULERS) as SchedulerName[]).filter(
  (name) => name !== 'UnCLIPScheduler' && name !== 'RePaintScheduler',
)

const requestWith = (change: Partial<ImageRequest>): ImageRequest => ({ ...REQUEST, ...change })

describe('a lane', () => {
  test('has latents of its size, drawn from its seed and raised to the first noise level', () => {
    const plain = createLane(SPEC, REQUEST)
    expect(plain.shape).toEqual([4, 4, 8])
    expect(plain.latents).toHaveLength(4 * 4 * 8)
    const euler = createLane(SPEC, requestWith({ scheduler: 'EulerDiscreteScheduler' }))
    expect(euler.latents[0]! / plain.latents[0]!).toBeCloseTo(14.6146, 3)
    expect(createLane(SPEC, requestWith({ seed: 4 })).latents).not.toEqual(plain.latents)
  })

  test('raises noise by a level that is rounded to float32 before, as torch multiplies', () => {
    const noise = createLane(SPEC, REQUEST).latents
    const { latents, plan } = createLane(SPEC, requestWith({ scheduler: 'EDMEulerScheduler' }))
    expect(latents).toEqual(noise.map((x) => x * Math.fround(plan.initNoiseSigma)))
    expect(latents).not.toEqual(noise.map((x) => x * plan.initNoiseSigma))
  })

  test('takes two rows when its prompt guides it, one otherwise', () => {
    expect(rowsOf(SPEC, REQUEST)).toBe(2)
    expect(rowsOf(SPEC, requestWith({ guidanceScale: 1 }))).toBe(1)
    expect(rowsOf({ ...SPEC, family: 'unconditional' }, REQUEST)).toBe(1)
  })

  test('moves from the unconditional towards the conditional prediction by its guidance', () => {
    const guided = createLane(SPEC, requestWith({ guidanceScale: 3, eta: 0 }))
    const single = createLane(SPEC, requestWith({ guidanceScale: 1, eta: 0 }))
    const size = guided.latents.length
    advanceLane(guided, new Float32Array(2 * size).fill(0.25, 0, size).fill(0.5, size), 0)
    advanceLane(single, new Float32Array(size).fill(0.25 + 3 * 0.25), 0)
    expect(guided.latents).toEqual(single.latents)
  })

  test('counts its model calls down to none', () => {
    const lane = createLane(SPEC, REQUEST)
    expect(stepsLeft(lane)).toBe(5)
    render(lane)
    expect(stepsLeft(lane)).toBe(0)
  })

  test.for(SCHEDULER_NAMES)('with %s, moved elsewhere at any step, makes the same picture', (scheduler) => {
    const request = requestWith({ scheduler })
    const straight = render(createLane(SPEC, request))
    const steps = createLane(SPEC, request).plan.timesteps.length
    for (let stop = 0; stop < steps; stop++) {
      const lane = createLane(SPEC, request)
      while (lane.index < stop) tick([lane])
      expect(render(restoreLane(lane.spec, lane.request, structuredClone(snapshotLane(lane))))).toEqual(straight)
    }
  })

  test('makes the same picture in any company', () => {
    const requests = SCHEDULER_NAMES.flatMap((scheduler, k) => [
      requestWith({ scheduler, seed: k, numInferenceSteps: 4 + k }),
      requestWith({ scheduler, seed: 100 + k, guidanceScale: 1 }),
    ])
    const alone = requests.map((request) => render(createLane(SPEC, request)))
    const lanes = requests.map((request) => createLane(SPEC, request))
    while (!lanes.every(isFinished)) tick(lanes.filter((lane) => !isFinished(lane)))
    expect(lanes.map(({ latents }) => latents)).toEqual(alone)
  })

  test('of a model that learned its variance takes twice the numbers, and its noise by them', () => {
    const spec: ModelSpec = { ...SPEC, family: 'unconditional', vaeScaleFactor: 1, learnsVariance: true }
    const request = requestWith({
      scheduler: 'DDPMScheduler',
      schedulerConfig: { variance_type: 'learned_range' },
    })
    const [narrow, wide] = [createLane(spec, request), createLane(spec, request)]
    const size = narrow.latents.length
    expect(outputSize(narrow)).toBe(2 * size)
    advanceLane(narrow, new Float32Array(2 * size).fill(-1, size), 0)
    advanceLane(wide, new Float32Array(2 * size).fill(1, size), 0)
    expect(narrow.latents).not.toEqual(wide.latents)
    expect(narrow.latents).toHaveLength(size)
  })

  test('refuses a scheduler whose variance is not where the model has it', () => {
    const learned = { variance_type: 'learned_range' }
    expect(() => createLane({ ...SPEC, learnsVariance: true }, REQUEST)).toThrow(
      'scheduler DDIMScheduler leaves no place for the variance that this checkpoint puts out',
    )
    expect(() => createLane(SPEC, requestWith({ scheduler: 'DDPMScheduler', schedulerConfig: learned }))).toThrow(
      'scheduler DDPMScheduler has variance_type learned_range, but this checkpoint puts out no variance',
    )
  })

  test('goes on from a picture as it is where denoisingStart says that it is half done', () => {
    const request = requestWith({ task: 'image-to-image', image: PICTURE })
    const image = new Float32Array(2 * 4 * 4 * 8).fill(-30, 4 * 4 * 8).fill(2, 0, 4 * 4 * 8)
    const [begun, whole] = [
      createLane(SPEC, { ...request, denoisingStart: 0.6 }, { image }),
      createLane(SPEC, { ...request, strength: 1 }, { image }),
    ]
    for (const x of begun.latents) expect(x).toBeCloseTo(2 * 0.18215, 5)
    expect(stepsLeft(begun)).toBe(2)
    expect(stepsLeft(whole)).toBe(5)
  })

  test('counts denoisingStart in the timesteps of the scheduler that runs', () => {
    const request = requestWith({ schedulerConfig: { num_train_timesteps: 500 }, denoisingEnd: 0.6 })
    expect(stepsLeft(createLane(SPEC, request))).toBe(3)
  })

  test('spaces its own steps in depth-to-image, which takes no schedule', () => {
    const request = requestWith({ task: 'depth-to-image', strength: 1, timesteps: [900, 100] })
    expect(openRequest(SPEC, request).plan.timesteps).toHaveLength(5)
  })

  test.for([
    [{ denoisingEnd: 0.01 }, 'denoisingEnd 0.01 leaves none of the 5 steps'],
    [{ denoisingStart: 0.999 }, 'denoisingStart 0.999 leaves none of the 5 steps'],
    [{ task: 'image-to-image', strength: 0.1 }, 'strength 0.1 leaves none of the 5 steps'],
    [{ task: 'image-to-image', strength: 0.1, denoisingEnd: 0.5 }, 'strength 0.1 leaves none of the 5 steps'],
  ] as const)('says which field leaves it nothing: %o', ([change, message]) => {
    expect(() => openRequest(SPEC, requestWith(change))).toThrow(message)
  })

  test.for([
    ['width', 60],
    ['height', 0],
  ] as const)('refuses a %s of %i', ([side, pixels]) => {
    expect(() => createLane(SPEC, requestWith({ [side]: pixels }))).toThrow(`${side} is ${pixels}; want a positive`)
  })
})
