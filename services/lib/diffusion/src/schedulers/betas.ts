import type { BetaConfig, BetaSchedule } from './config.ts'
import { torchSqrt } from './torch-sqrt.ts'

/** torch.linspace in float32, bit for bit: from either end to the middle, with one rounding per element. */
export function linspaceF32(start: number, end: number, count: number): Float32Array {
  const { fround } = Math
  const out = new Float32Array(count)
  const a = fround(start)
  const b = fround(end)
  if (count === 1) return out.fill(a)
  const step = fround(fround(b - a) / fround(count - 1))
  const half = Math.floor(count / 2)
  for (let i = 0; i < count; i++) out[i] = i < half ? a + step * i : b - step * (count - 1 - i)
  return out
}

/** numpy.linspace in double. */
export function linspace(start: number, end: number, count: number): number[] {
  if (count === 1) return [start]
  const step = (end - start) / (count - 1)
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? end : start + i * step))
}

/** numpy's round: halves go to the even neighbour. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x)
  const fraction = x - floor
  if (fraction !== 0.5) return fraction < 0.5 ? floor : floor + 1
  return floor % 2 === 0 ? floor : floor + 1
}

/** alpha_bar of Nichol and Dhariwal 2021 (arXiv:2102.09672), eq. 17; diffusers `betas_for_alpha_bar`. */
function betasForAlphaBar(count: number, alphaBar: (t: number) => number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) =>
    Math.min(1 - alphaBar((i + 1) / count) / alphaBar(i / count), 0.999),
  )
}

const BETA_SCHEDULES: Readonly<Record<BetaSchedule, (start: number, end: number, count: number) => Float32Array>> = {
  linear: linspaceF32,
  scaled_linear: (start, end, count) => linspaceF32(Math.sqrt(start), Math.sqrt(end), count).map((root) => root * root),
  squaredcos_cap_v2: (_start, _end, count) =>
    betasForAlphaBar(count, (t) => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2),
  exp: (_start, _end, count) => betasForAlphaBar(count, (t) => Math.exp(t * -12)),
  laplace: (_start, _end, count) =>
    betasForAlphaBar(count, (t) => {
      const lambda = -0.5 * Math.sign(0.5 - t) * Math.log(1 - 2 * Math.abs(0.5 - t) + 1e-6)
      const snr = Math.exp(lambda)
      return Math.sqrt(snr / (1 + snr))
    }),
  sigmoid: (start, end, count) => {
    const { fround } = Math
    return linspaceF32(-6, 6, count).map(
      (x) => fround(fround(1 / (1 + Math.exp(-x))) * fround(end - start)) + fround(start),
    )
  },
}

/** Float32 betas of a config, of num_train_timesteps or of trained_betas. */
export function betasOf(config: BetaConfig): Float32Array {
  if (config.trained_betas !== null) return Float32Array.from(config.trained_betas)
  return BETA_SCHEDULES[config.beta_schedule](config.beta_start, config.beta_end, config.num_train_timesteps)
}

/** Cumulative products of 1 - beta: torch accumulates in double and rounds each output to float32. */
export function alphasCumprodOf(betas: Float32Array): Float32Array {
  const out = new Float32Array(betas.length)
  let product = 1
  for (let i = 0; i < betas.length; i++) {
    product *= Math.fround(1 - betas[i]!)
    out[i] = product
  }
  return out
}

/** Betas whose last alpha_bar is 0. Lin et al. 2023 (arXiv:2305.08891), algorithm 1; diffusers `rescale_zero_terminal_snr`. */
export function rescaleZeroTerminalSnr(betas: Float32Array): Float32Array {
  const { fround } = Math
  const roots = alphasCumprodOf(betas).map(torchSqrt)
  const first = roots[0]!
  const last = roots.at(-1)!
  const scale = fround(first / fround(first - last))
  const bars = roots.map((root) => fround(fround(root - last) * scale)).map((root) => root * root)
  return bars.map((bar, i) => 1 - (i === 0 ? bar : fround(bar / bars[i - 1]!)))
}
