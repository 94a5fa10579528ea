import type { TorchGenerator } from './torch-generator.ts'

/** The noise that a step takes. */
export interface NoiseDemand {
  /** Consecutive `torch.randn` draws. */
  readonly draws: number
}

export const ONE_DRAW: NoiseDemand = { draws: 1 }

/** Draws what a step asks for, each of `size` numbers, in diffusers' order. */
export function drawNoise(demand: NoiseDemand | null, size: number, generator: TorchGenerator): Float32Array[] {
  return Array.from({ length: demand?.draws ?? 0 }, () => generator.randn(size))
}
