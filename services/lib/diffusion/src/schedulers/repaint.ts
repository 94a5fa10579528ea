import { elementwise } from '../kernels/elementwise.ts'
import { add, constant, mul, sub } from '../kernels/expression.ts'
import { alphasCumprod } from './alphas.ts'
import { betasOf } from './betas.ts'
import { betaKeys, flagKey, numberKey } from './config.ts'
import type { BetaConfig, ConfigKeys } from './config.ts'
import { clamp, predictOriginal } from './prediction.ts'
import { copyInput, stepsOf } from './scheduler.ts'
import type { Plan, PlanRequest, Scheduler } from './scheduler.ts'
import { assertTrained } from './timesteps.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { addScaled, roundedSum, weightedSum } from './vector-steps.ts'

export interface RePaintConfig extends BetaConfig {
  eta: number
  clip_sample: boolean
}

interface RePaintPlan extends Plan {
  readonly config: RePaintConfig
  readonly betas: Float32Array
  readonly alphasCumprod: Float32Array
  readonly stride: number
  /** After each step, the timesteps from which one stride is gone back. */
  readonly undone: readonly (readonly number[])[]
}

const keys: ConfigKeys<RePaintConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2', 'sigmoid']),
  eta: numberKey(0, { min: 0, max: 1 }),
  clip_sample: flagKey(true),
}

const JUMP_LENGTH = 10
const JUMP_N_SAMPLE = 10

/**
 * Inpainting with a model that was not trained for it: the known part is put in at each level, and steps are undone and done
 * again until both parts agree.
 *
 * Lugmayr et al. 2022 (arXiv:2201.09865), algorithm 1; diffusers `scheduling_repaint.py`. Steps that are undone belong to the
 * step before them here. Wants originalImage and maskImage (1 where it is kept) among the options of `step`.
 */
export const rePaint: Scheduler<RePaintConfig, RePaintPlan, null> = {
  keys,
  about: {
    papers: ['2201.09865'],
    source: 'scheduling_repaint.py',
    evaluations: '1, for each time that a step is done',
    stochastic: 'always',
    takesKarrasConfigs: false,
  },

  plan(config, request) {
    const train = config.num_train_timesteps
    const steps = Math.min(stepsOf(request, 'RePaintScheduler'), train)
    const stride = Math.floor(train / steps)
    const { timesteps, undone } = jumpingSchedule(steps, stride, request)
    assertTrained(timesteps, train)
    return {
      timesteps,
      sigmas: null,
      initNoiseSigma: 1,
      order: 1,
      config,
      betas: betasOf(config),
      alphasCumprod: alphasCumprod(config),
      stride,
      undone,
    }
  },

  initialState: () => null,
  scaleModelInput: copyInput,
  noiseOf: ({ undone, stride }, i) => ({ draws: 1 + undone[i]!.length * stride }),

  step(plan, i, modelOutput, sample, _state, noises, { originalImage, maskImage }, out) {
    if (originalImage === undefined || maskImage === undefined) {
      throw new RangeError('originalImage or maskImage is missing; RePaintScheduler wants both with each step.')
    }
    stepDown(plan, plan.timesteps[i]!, modelOutput, sample, noises[0]!, { originalImage, maskImage }, out)
    let draw = 1
    for (const t of plan.undone[i]!) {
      for (let k = 0; k < plan.stride; k++) {
        const beta = plan.betas[t + k]!
        // Hundreds in a row: rounded as torch does, they do not drift apart.
        roundedSum(torchSqrt(Math.fround(1 - beta)), out, torchSqrt(beta), noises[draw++]!, out)
      }
    }
    return null
  },

  addNoise: null,
}

/** Of two pictures by the first's share. */
const blend = elementwise((_, [share, x, y]) => add(mul(share!, x!), mul(sub(constant(1), share!), y!)))

function stepDown(
  { config, alphasCumprod: alphas, stride }: RePaintPlan,
  t: number,
  modelOutput: Float32Array,
  sample: Float32Array,
  noise: Float32Array,
  { originalImage, maskImage }: { readonly originalImage: Float32Array; readonly maskImage: Float32Array },
  out: Float32Array,
): void {
  const { fround } = Math
  const previous = t - stride
  const alphaProd = alphas[t]!
  const alphaProdPrev = previous >= 0 ? alphas[previous]! : 1
  const betaProd = fround(1 - alphaProd)
  predictOriginal('epsilon', torchSqrt(alphaProd), torchSqrt(betaProd), modelOutput, sample, out)
  if (config.clip_sample) clamp(out, 1)
  const variance = fround(fround(fround(1 - alphaProdPrev) / betaProd) * fround(1 - fround(alphaProd / alphaProdPrev)))
  const deviation = config.eta === 0 ? 0 : fround(fround(config.eta) * torchSqrt(variance))
  const direction = torchSqrt(fround(fround(1 - alphaProdPrev) - fround(deviation * deviation)))
  const keep = torchSqrt(alphaProdPrev)
  weightedSum(keep, out, direction, modelOutput, out)
  if (t > 0 && deviation > 0) addScaled(deviation, noise, out)
  const known = new Float32Array(out.length)
  weightedSum(keep, originalImage, torchSqrt(fround(1 - alphaProdPrev)), noise, known)
  blend([], [maskImage, known, out], out)
}

/** diffusers `set_timesteps`, with what goes up gathered behind the step before it. */
function jumpingSchedule(steps: number, stride: number, request: PlanRequest) {
  const { jumpLength = JUMP_LENGTH, jumpNSample = JUMP_N_SAMPLE } = request
  for (const [name, value] of Object.entries({ jumpLength, jumpNSample })) {
    if (!Number.isInteger(value) || value < 1) throw new RangeError(`${name} is ${value}; want an integer from 1.`)
  }
  const jumps = new Map<number, number>()
  for (let j = 0; j < steps - jumpLength; j += jumpLength) jumps.set(j, jumpNSample - 1)
  const timesteps: number[] = []
  const undone: number[][] = []
  for (let t = steps; t >= 1;) {
    t--
    timesteps.push(t * stride)
    const ups: number[] = []
    const left = jumps.get(t) ?? 0
    if (left > 0) {
      jumps.set(t, left - 1)
      for (let k = 0; k < jumpLength; k++, t++) ups.push(t * stride)
    }
    undone.push(ups)
  }
  return { timesteps, undone }
}
