import { TorchGenerator } from '@darkroom/diffusion'
import { encodeFloat32 } from './float32.ts'

interface RandnCase {
  readonly seed: number
  readonly consecutive_sizes: readonly number[]
}

/** Consecutive draws of `torch.randn` from one seed. */
export function runRandn(input: { cases: readonly RandnCase[] }): { cases: { randn_f32_base64: string[] }[] } {
  const cases = input.cases.map(({ seed, consecutive_sizes: sizes }) => {
    const generator = new TorchGenerator(BigInt(seed))
    return { randn_f32_base64: sizes.map((size) => encodeFloat32(generator.randn(size))) }
  })
  return { cases }
}
