import { describe, expect, test } from 'vitest'
import { drawNoise } from '../random/draw-noise.ts'
import { TorchGenerator } from '../random/torch-generator.ts'
import type { ConfigKey } from './config.ts'
import { schedulerFromConfig } from './from-config.ts'
import { SCHEDULERS } from './registry.ts'
import type { SchedulerName } from './registry.ts'
import type { AnyScheduler, Plan, StepOptions } from './scheduler.ts'

const SIZE = 3 * 4 * 4
const NUM_INFERENCE_STEPS = 7
/** Asks every scheduler that can be stochastic to be so. */
const OPTIONS: StepOptions = {
  eta: 0.5,
  sChurn: 1,
  originalImage: new TorchGenerator(8).randn(SIZE),
  maskImage: Float32Array.from({ length: SIZE }, (_, j) => j % 2),
}

interface Run {
  readonly scheduler: AnyScheduler
  readonly plan: Plan
  readonly generator: TorchGenerator
  readonly seed: number
  index: number
  sample: Float32Array
  state: unknown
}

function start(scheduler: AnyScheduler, plan: Plan, seed: number): Run {
  const generator = new TorchGenerator(seed)
  const sample = generator.randn(SIZE).map((x) => x * plan.initNoiseSigma)
  return { scheduler, plan, generator, seed, index: 0, sample, state: scheduler.initialState(plan) }
}

/** A model that depends on sample and timestep. */
function model(input: Float32Array, timestep: number): Float32Array {
  return input.map((x) => 0.5 * x + 0.1 * Math.sin(timestep / 100))
}

function advance(run: Run): void {
  const { scheduler, plan, index, sample } = run
  const input = new Float32Array(SIZE)
  scheduler.scaleModelInput(plan, index, sample, input)
  const noise = drawNoise(scheduler.noiseOf(plan, index, OPTIONS), SIZE, run.generator, run.seed)
  const out = new Float32Array(SIZE).fill(Number.NaN)
  const output = model(input, plan.timesteps[index]!)
  run.state = scheduler.step(plan, index, output, sample, run.state, noise, OPTIONS, out)
  run.sample = out
  run.index++
}

function finish(run: Run): Float32Array {
  while (run.index < run.plan.timesteps.length) advance(run)
  return run.sample
}

/** The default config, and each value of the keys that every user turns. */
function configsOf(name: SchedulerName): [string, Record<string, unknown>][] {
  const keys = SCHEDULERS[name].keys as Readonly<Record<string, ConfigKey<unknown>>>
  const turned = ['prediction_type', 'timestep_spacing', 'beta_schedule'].flatMap((key) =>
    (keys[key]?.values ?? []).map((value) => [`${key} ${String(value)}`, { [key]: value }] as const),
  )
  return [['its defaults', {}], ...turned.map(([title, config]): [string, Record<string, unknown>] => [title, config])]
}

/** What must hold of every scheduler. Its numbers are held against diffusers' in test/golden. */
export function describeScheduler(name: SchedulerName): void {
  describe(name, () => {
    test('keeps its config through saving and loading', () => {
      const saved = schedulerFromConfig(name, {}).json
      const loaded = schedulerFromConfig(name, JSON.parse(JSON.stringify(saved)))
      expect(loaded.json).toEqual(saved)
      expect(loaded.unknownKeys).toEqual([])
    })

    test('refuses a number of steps that cannot be', () => {
      const { scheduler, config } = schedulerFromConfig(name, {})
      for (const numInferenceSteps of [0, 1.5, -3]) {
        expect(() => scheduler.plan(config, { numInferenceSteps }), String(numInferenceSteps)).toThrow(RangeError)
      }
    })

    describe.for(configsOf(name))('with %s', ([, overrides]) => {
      const { scheduler, config } = schedulerFromConfig(name, {}, overrides)
      const plan: Plan = scheduler.plan(config, { numInferenceSteps: NUM_INFERENCE_STEPS })

      test('plans finite timesteps and noise levels, at least one for each step', () => {
        expect(plan.timesteps.length).toBeGreaterThanOrEqual(NUM_INFERENCE_STEPS)
        expect(plan.timesteps.every(Number.isFinite)).toBe(true)
        expect(plan.timesteps[0]).not.toBe(plan.timesteps.at(-1))
        expect(plan.sigmas?.every((sigma) => sigma >= 0 && sigma < Infinity) ?? true).toBe(true)
      })

      test('denoises to finite numbers and leaves the plan as it was', () => {
        const before = structuredClone(plan)
        expect(finish(start(scheduler, plan, 1)).every(Number.isFinite)).toBe(true)
        expect(plan).toEqual(before)
      })

      test('writes to nothing but its output', () => {
        const run = start(scheduler, plan, 2)
        while (run.index < plan.timesteps.length) {
          const output = model(run.sample, plan.timesteps[run.index]!)
          const noise = drawNoise(scheduler.noiseOf(plan, run.index, OPTIONS), SIZE, run.generator, run.seed)
          const before = structuredClone({ output, sample: run.sample, noise, state: run.state })
          const out = new Float32Array(SIZE)
          const next = scheduler.step(plan, run.index, output, run.sample, run.state, noise, OPTIONS, out)
          expect({ output, sample: run.sample, noise, state: run.state }).toEqual(before)
          Object.assign(run, { state: next, sample: out, index: run.index + 1 })
        }
      })

      test('goes on from plain data at any step as if it had never stopped', () => {
        const straight = finish(start(scheduler, plan, 3))
        for (let stop = 0; stop < plan.timesteps.length; stop++) {
          const run = start(scheduler, plan, 3)
          while (run.index < stop) advance(run)
          const { index, sample, state } = structuredClone({ index: run.index, sample: run.sample, state: run.state })
          const resumed: Run = {
            scheduler,
            plan: scheduler.plan(config, { numInferenceSteps: NUM_INFERENCE_STEPS }),
            generator: new TorchGenerator(structuredClone(run.generator.state())),
            seed: run.seed,
            index,
            sample,
            state,
          }
          expect(finish(resumed)).toEqual(straight)
        }
      })

      test('gives each of several interleaved runs what it gives one alone', () => {
        const seeds = [4, 5, 6]
        const alone = seeds.map((seed) => finish(start(scheduler, plan, seed)))
        const together = seeds.map((seed) => start(scheduler, plan, seed))
        // Staggered, so that no two are at the same step.
        for (const [lead, run] of together.entries()) for (let i = 0; i < lead; i++) advance(run)
        while (together.some((run) => run.index < plan.timesteps.length)) {
          for (const run of together) if (run.index < plan.timesteps.length) advance(run)
        }
        expect(together.map(({ sample }) => sample)).toEqual(alone)
      })

      const { addNoise } = scheduler
      if (addNoise === null) return

      test('adds less noise the lower the timestep is where it starts', () => {
        const original = new Float32Array(SIZE)
        const noise = new TorchGenerator(7).randn(SIZE)
        const levels = [0, plan.timesteps.length - 1].map((i) => {
          const out = new Float32Array(SIZE)
          addNoise(plan, i, original, noise, out)
          return out.reduce((sum, x) => sum + Math.abs(x), 0)
        })
        const descent = plan.timesteps[0]! - plan.timesteps.at(-1)!
        expect(Math.sign(levels[0]! - levels[1]!)).toBe(Math.sign(descent))
      })
    })
  })
}
