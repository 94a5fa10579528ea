import { drawNoise, schedulerFromConfig, SCHEDULERS, TorchGenerator } from '@darkroom/diffusion'
import type { AnyScheduler, Plan, SchedulerName } from '@darkroom/diffusion'
import type { BenchResult } from './main.ts'
import { median, round } from './statistics.ts'

/**
 * Microseconds of one step of each scheduler: scaling the model's input and the step itself, for one image of 4 × 64 × 64 and
 * for eight, which step one after the other as the lanes of a call do. Noise is drawn beforehand: its cost is the random
 * generator's. Every scheduler runs its default config with 20 steps, over and over; the median step counts.
 *
 * 2026-11-25, Xeon at 2.8 GHz: loops of JavaScript took 3 to 27 ns an element, a division as long as ten; the profile showed
 * conversions between float32 and float64 and V8's boxes. Predicted for SIMD, with copies in and out: 1 ns. Measured: worst
 * 3,546 µs before, 1,377 after (most 300 to 600), the same bits. What was left was copies into the kernels' memory and halves of
 * float64; multistep solvers that round as torch does, in one kernel each: worst 991 µs (RePaint).
 */

const SIZE = 4 * 64 * 64
const STEPS = 20
const ROUNDS = 30
const WARM_UP_ROUNDS = 10

export async function run(args: readonly string[]): Promise<BenchResult> {
  const names = (args.length > 0 ? args : Object.keys(SCHEDULERS)) as SchedulerName[]
  const perScheduler: Record<string, { b1Us: number; b8Us: number }> = {}
  for (const name of names) {
    const measured = { b1Us: microseconds(name, 1), b8Us: microseconds(name, 8) }
    perScheduler[name] = measured
    console.log(`${name.padEnd(36)} ${String(measured.b1Us).padStart(8)} µs ${String(measured.b8Us).padStart(9)} µs`)
  }
  const worstB8Us = Math.max(...Object.values(perScheduler).map(({ b8Us }) => b8Us))
  return { values: { worstB8Us, perScheduler }, baseline: 'none: absolute times of one step', pairs: ROUNDS }
}

function microseconds(name: SchedulerName, batch: number): number {
  const { scheduler, config } = schedulerFromConfig(name, {})
  const plan: Plan = scheduler.plan(config, { numInferenceSteps: STEPS })
  const generator = new TorchGenerator(0)
  const start = generator.randn(SIZE).map((x) => x * plan.initNoiseSigma)
  const output = generator.randn(SIZE)
  const noises = plan.timesteps.map((_, i) => drawNoise(scheduler.noiseOf(plan, i, {}), SIZE, generator, 0))
  const times: number[] = []
  for (let round = 0; round < ROUNDS + WARM_UP_ROUNDS; round++) {
    const perStep = runOnce(scheduler, plan, batch, start, output, noises)
    if (round >= WARM_UP_ROUNDS) times.push(...perStep)
  }
  return round(median(times) * 1000, 1)
}

/** Milliseconds of each step. */
function runOnce(
  scheduler: AnyScheduler,
  plan: Plan,
  batch: number,
  start: Float32Array,
  output: Float32Array,
  noises: readonly (readonly Float32Array[])[],
): number[] {
  const options = { originalImage: start, maskImage: output }
  const input = new Float32Array(SIZE)
  const lanes = Array.from({ length: batch }, () => ({
    sample: start.slice(),
    next: new Float32Array(SIZE),
    state: scheduler.initialState(plan) as unknown,
  }))
  return plan.timesteps.map((_, i) => {
    const before = performance.now()
    for (const lane of lanes) {
      scheduler.scaleModelInput(plan, i, lane.sample, input)
      lane.state = scheduler.step(plan, i, output, lane.sample, lane.state, noises[i]!, options, lane.next)
      const { sample } = lane
      lane.sample = lane.next
      lane.next = sample
    }
    return performance.now() - before
  })
}
