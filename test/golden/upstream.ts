import { schedulerFromConfig, TorchGenerator } from '@darkroom/diffusion'
import type { AnyScheduler, Plan, PlanRequest } from '@darkroom/diffusion'
import {
  addNoiseToBatch,
  camelKeys,
  denoiseBatch,
  dummyModel,
  dummyNoiseDeter,
  dummySampleDeter,
  stepOptions,
} from './denoise-batch.ts'

/** One of the full-loop tests of diffusers' own suite, as data. */
export interface UpstreamTest {
  readonly id: string
  readonly scheduler: string
  readonly config: Readonly<Record<string, unknown>>
  /** Classes that the config is passed along, the last of which runs. */
  readonly switch_chain?: readonly string[]
  /** Null where the test never calls set_timesteps: every training timestep. */
  readonly num_inference_steps: number | null
  readonly loop: {
    readonly kind: string
    readonly init: 'sample' | 'sample*init_noise_sigma'
    readonly scale_model_input: 'none' | 'rebind' | 'model_only'
    readonly set_timesteps_kwargs?: Readonly<Record<string, unknown>>
    readonly timesteps_slice_from?: number
    readonly add_noise?: { readonly t_start: number }
    readonly generator_seed: number | null
    readonly batch_offsets?: readonly number[]
    readonly batch_timesteps?: readonly number[]
    readonly step_kwargs?: Readonly<Record<string, number | boolean>>
  }
  readonly equivalence?: { readonly kind: string }
  readonly dummy_shape?: '1d'
}

export interface UpstreamResult {
  readonly id: string
  /** Of the last sample's magnitudes. */
  readonly sum?: number
  readonly mean?: number
  /** Summed magnitudes between the runs of an equivalence test. */
  readonly difference?: number
  readonly error: string | null
}

export function runUpstream(input: { tests: readonly UpstreamTest[] }): { tests: UpstreamResult[] } {
  return { tests: input.tests.map(result) }
}

function result(upstream: UpstreamTest): UpstreamResult {
  try {
    return { id: upstream.id, ...measure(upstream), error: null }
  } catch (reason) {
    return { id: upstream.id, error: String(reason) }
  }
}

function measure(upstream: UpstreamTest): Pick<UpstreamResult, 'sum' | 'mean' | 'difference'> {
  const { scheduler, config } = schedulerOf(upstream)
  const plan: Plan = scheduler.plan(config, planRequest(upstream, config))
  const last = finalSample(upstream, scheduler, plan)
  if (upstream.equivalence !== undefined) {
    const other = lastSample(upstream, scheduler, scheduler.plan(config, ownSchedule(upstream.equivalence.kind, plan)))
    return { difference: last.reduce((sum, x, j) => sum + Math.abs(x - other[j]!), 0) }
  }
  const sum = last.reduce((total, x) => total + Math.abs(x), 0)
  return { sum, mean: sum / last.length }
}

function finalSample(upstream: UpstreamTest, scheduler: AnyScheduler, plan: Plan): Float32Array {
  switch (upstream.loop.kind) {
    case 'plain':
    // PNDM's two kinds of steps are one schedule here.
    case 'pndm_prk_then_plms':
      return lastSample(upstream, scheduler, plan)
    case 'sde_ve_predictor_corrector': {
      // The test sets sigmas before timesteps, and so keeps the first of the whole training schedule.
      const whole: Plan = scheduler.plan(schedulerOf(upstream).config, {
        numInferenceSteps: Number(upstream.config['num_train_timesteps']),
      })
      return lastSample(upstream, scheduler, { ...plan, timesteps: whole.timesteps.slice(0, plan.timesteps.length) })
    }
    case 'run_twice_reset_step_index': {
      const states: unknown[] = []
      return lastSample(upstream, scheduler, plan, states, lastSample(upstream, scheduler, plan, states))
    }
    case 'batch_step_no_noise':
      return singleSteps(upstream, scheduler, plan)
    default:
      throw new RangeError(`loop kind ${upstream.loop.kind} is not supported.`)
  }
}

/** One step of several samples, each at a timestep of its own, without noise: what the parallel classes add. */
function singleSteps({ loop }: UpstreamTest, scheduler: AnyScheduler, plan: Plan): Float32Array {
  const { batch_offsets: offsets = [], batch_timesteps: timesteps = [] } = loop
  const clean = dummySampleDeter([4, 3, 8, 8])
  const rows = offsets.map((offset, k) => {
    const t = timesteps[k]!
    const sample = clean.map((x) => x + offset)
    const out = new Float32Array(sample.length)
    const own = { ...plan, timesteps: t > 0 ? [t, t - 1] : [t] }
    const state: unknown = scheduler.initialState(own)
    scheduler.step(own, 0, dummyModel(sample, t), sample, state, [], stepOptions(loop.step_kwargs), out)
    return [...out]
  })
  return Float32Array.from(rows.flat())
}

function schedulerOf({ scheduler, config, switch_chain: chain = [scheduler] }: UpstreamTest) {
  return chain
    .slice(1)
    .reduce((previous, name) => schedulerFromConfig(name, previous.json), schedulerFromConfig(chain[0]!, config))
}

function planRequest(
  { num_inference_steps: steps, loop }: UpstreamTest,
  config: Readonly<Record<string, unknown>>,
): PlanRequest {
  if (loop.set_timesteps_kwargs !== undefined) return camelKeys(loop.set_timesteps_kwargs) as unknown as PlanRequest
  if (steps !== null) return { numInferenceSteps: steps }
  const train = Number(config['num_train_timesteps'])
  return { timesteps: Array.from({ length: train }, (_, i) => train - 1 - i) }
}

function ownSchedule(kind: string, { timesteps, sigmas, order }: Plan): PlanRequest {
  // Methods of two calls a step are given each timestep once.
  if (kind === 'custom_timesteps_equal_own')
    return { timesteps: timesteps.filter((_, i) => i === 0 || i % order === order - 1) }
  if (kind === 'custom_sigmas_equal_own' && sigmas !== null) return { sigmas: [...sigmas] }
  throw new RangeError(`equivalence ${kind} is not supported.`)
}

function lastSample(
  { loop, dummy_shape: dummyShape }: UpstreamTest,
  scheduler: AnyScheduler,
  plan: Plan,
  states?: unknown[],
  from?: Float32Array,
): Float32Array {
  const shape = dummyShape === '1d' ? [4, 3, 8] : [4, 3, 8, 8]
  const batch = shape[0]!
  const clean = from ?? dummySampleDeter(shape)
  const begin = (loop.add_noise?.t_start ?? 0) * plan.order + (loop.timesteps_slice_from ?? 0)
  const scale = loop.init === 'sample' ? 1 : Math.fround(plan.initNoiseSigma)
  const initial = clean.map((x) => x * scale)
  const samples =
    loop.add_noise === undefined
      ? initial
      : addNoiseToBatch({ scheduler, plan, batch }, begin, initial, dummyNoiseDeter(shape))
  // Without a seed a test's scheduler draws nothing.
  const seed = loop.generator_seed ?? 0
  // Predictor and corrector average over the batch, so that it is one sample.
  const isOneSample = loop.kind === 'sde_ve_predictor_corrector'
  const steps = denoiseBatch({
    scheduler,
    plan,
    begin,
    batch: isOneSample ? 1 : batch,
    samples,
    model: dummyModel,
    generator: new TorchGenerator(seed),
    seed,
    options: { ...stepOptions(loop.step_kwargs), ...(isOneSample && { imagesPerSample: batch }) },
    scaling: loop.scale_model_input,
    ...(states !== undefined && { states }),
  })
  return [...steps].at(-1)!
}
