import type { ItemLine } from '@darkroom/proto'
import { describe, expect, test } from 'vitest'
import { CostModel, unitsOf, workOf } from './cost-model.ts'

const CPU = { checkpoint: 'emoji-sd', deviceKind: 'cpu' }
const CUDA = { checkpoint: 'emoji-sd', deviceKind: 'cuda' }
const SECOND = { DDIMScheduler: 1_000_000 }

function itemOf(change: Partial<ItemLine> = {}): ItemLine {
  return {
    index: 0,
    customId: 'item-0',
    task: 'text-to-image',
    checkpoint: 'emoji-sd',
    prompt: 'a red apple',
    width: 64,
    height: 32,
    scheduler: 'DDIMScheduler',
    schedulerConfig: {},
    numInferenceSteps: 20,
    guidanceScale: 3,
    eta: 0,
    seed: 0,
    numImages: 1,
    ...change,
  }
}

/** A model that was taught so many times what a million units take. */
function taught(seconds: readonly number[], place = CPU): CostModel {
  const model = new CostModel()
  for (const took of seconds) model.learn(place, 'DDIMScheduler', 1_000_000, took)
  return model
}

describe('the units of an item', () => {
  test('are its steps, rows, pixels and images', () => {
    expect(unitsOf(itemOf())).toBe(20 * 2 * 64 * 32)
    expect(unitsOf(itemOf({ guidanceScale: 1 }))).toBe(20 * 64 * 32)
    expect(unitsOf(itemOf({ numImages: 3, width: 128 }))).toBe(20 * 2 * 128 * 32 * 3)
  })

  test('count every model call of a scheduler that makes two a step', () => {
    expect(unitsOf(itemOf({ scheduler: 'HeunDiscreteScheduler' }))).toBe(2 * unitsOf(itemOf()))
    expect(unitsOf(itemOf({ scheduler: 'a scheduler of another version' }))).toBe(unitsOf(itemOf()))
  })

  test('are summed by scheduler', () => {
    const items = [itemOf(), itemOf(), itemOf({ scheduler: 'PNDMScheduler' })]
    expect(workOf(items)).toEqual({ DDIMScheduler: 2 * unitsOf(itemOf()), PNDMScheduler: unitsOf(itemOf()) })
  })
})

describe('the estimate', () => {
  test('is a prior as long as nothing was measured', () => {
    expect(new CostModel().seconds(CPU, SECOND)).toBeCloseTo(1.1)
  })

  test('is what was measured, once it was', () => {
    expect(taught([3]).seconds(CPU, SECOND)).toBeCloseTo(3)
  })

  test('comes from the nearest that is known: the checkpoint elsewhere, then the device with others', () => {
    const model = taught([3])
    model.learn({ checkpoint: 'emoji-xl', deviceKind: 'cuda' }, 'DDIMScheduler', 1_000_000, 0.1)
    expect(model.seconds(CPU, { PNDMScheduler: 1_000_000 })).toBeCloseTo(3)
    expect(model.seconds(CUDA, SECOND)).toBeCloseTo(3)
    expect(model.seconds({ checkpoint: 'unseen', deviceKind: 'cuda' }, SECOND)).toBeCloseTo(0.1)
    model.learn(CUDA, 'DDIMScheduler', 1_000_000, 0.2)
    expect(model.seconds(CUDA, SECOND)).toBeCloseTo(0.2)
    expect(model.seconds(CPU, SECOND)).toBeCloseTo(3)
  })

  test('is within 10 % of the truth after fifty shards with noise of 20 % and a straggler in ten', () => {
    let state = 1
    const random = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
    const seconds = Array.from({ length: 50 }, (_, n) => (n % 10 === 9 ? 20 : 2 * (0.8 + 0.4 * random())))
    expect(taught(seconds).seconds(CPU, SECOND) / 2).toBeGreaterThan(0.9)
    expect(taught(seconds).seconds(CPU, SECOND) / 2).toBeLessThan(1.1)
  })

  test('is steady where a third of the workers is quick, a third usual and a third slow', () => {
    let state = 1
    const random = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
    const model = taught(Array.from({ length: 500 }, () => [1, 2, 4][Math.floor(3 * random())]!))
    for (let n = 0; n < 500; n++) {
      model.learn(CPU, 'DDIMScheduler', 1_000_000, [1, 2, 4][Math.floor(3 * random())]!)
      expect(model.seconds(CPU, SECOND) / 2).toBeGreaterThan(0.8)
      expect(model.seconds(CPU, SECOND) / 2).toBeLessThan(1.25)
    }
  })

  test('follows a device that has become five times as fast within thirty shards', () => {
    const model = taught([...Array.from({ length: 200 }, () => 5), ...Array.from({ length: 30 }, () => 1)])
    expect(model.seconds(CPU, SECOND)).toBeLessThan(1.25)
  })

  test('is not moved by what took no time or had nothing to do', () => {
    const model = taught([2])
    model.learn(CPU, 'DDIMScheduler', 0, 5)
    model.learn(CPU, 'DDIMScheduler', 1_000_000, 0)
    expect(model.seconds(CPU, SECOND)).toBeCloseTo(2)
  })
})
