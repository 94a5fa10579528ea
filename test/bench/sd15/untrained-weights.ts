/** How a tensor of an untrained net is made: all of one value, or uniform about zero as torch's layers start. */
export type TensorRecipe = {
  readonly type: 'float16' | 'float32'
  readonly count: number
  /** Where it lies in the file of its graph. */
  readonly offset: number
} & ({ readonly value: number } | { readonly std: number })

const LEVELS = 65_536

/**
 * The tensor's bytes, the same for the same seed on any machine: two of 65,536 evenly spaced levels from each draw of
 * Marsaglia's xorshift generator of 32 bits.
 * @param seed not 0
 */
export function untrainedTensor(recipe: TensorRecipe, seed: number): Uint8Array {
  const Floats = recipe.type === 'float16' ? Float16Array : Float32Array
  if ('value' in recipe) return bytesOf(new Floats(recipe.count).fill(recipe.value))
  const half = recipe.std * Math.sqrt(3)
  const levels = new Floats(Array.from({ length: LEVELS }, (_, i) => half * ((2 * i + 1) / LEVELS - 1)))
  // Copied as bits: a number that went through a float16 each time would take ten times as long.
  const Bits = recipe.type === 'float16' ? Uint16Array : Uint32Array
  const bits = new Bits(levels.buffer)
  const tensor = new Bits(recipe.count)
  let state = seed | 0
  for (let i = 0; i < tensor.length; i += 2) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    tensor[i] = bits[state & (LEVELS - 1)]!
    // Behind the end nothing is written.
    tensor[i + 1] = bits[state >>> 16]!
  }
  return bytesOf(tensor)
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
