/**
 * The first words of `numpy.random.SeedSequence(entropy, spawn_key, pool_size).generate_state`, bit for bit.
 *
 * O'Neill 2015, "Developing a seed_seq alternative"; numpy `random/bit_generator.pyx`.
 * @param entropy not negative
 * @param spawnKey names the child of a sequence; integers that are not negative
 */
export function seedSequence(
  entropy: bigint,
  spawnKey: readonly number[],
  poolSize: number,
  wordCount: number,
): Uint32Array {
  const pool = mixedPool(assembledEntropy(entropy, spawnKey, poolSize), poolSize)
  let multiplier = 0x8b51f9dd
  return Uint32Array.from({ length: wordCount }, (_, i) => {
    const word = pool[i % poolSize]! ^ multiplier
    multiplier = Math.imul(multiplier, 0x58f38ded)
    return folded(Math.imul(word, multiplier))
  })
}

/** A child's entropy is padded to the pool's size, so that no parent of longer entropy has the same words. */
function assembledEntropy(entropy: bigint, spawnKey: readonly number[], poolSize: number): number[] {
  const own = wordsOf(entropy)
  if (spawnKey.length === 0) return own
  while (own.length < poolSize) own.push(0)
  return [...own, ...spawnKey.flatMap((key) => wordsOf(BigInt(key)))]
}

/** Little-endian words of 32 bits, at least one. */
function wordsOf(value: bigint): number[] {
  const words = [Number(BigInt.asUintN(32, value))]
  for (let rest = value >> 32n; rest > 0n; rest >>= 32n) words.push(Number(BigInt.asUintN(32, rest)))
  return words
}

function mixedPool(entropy: readonly number[], poolSize: number): Uint32Array {
  let multiplier = 0x43b0d7e5
  const hashed = (value: number): number => {
    const keyed = value ^ multiplier
    multiplier = Math.imul(multiplier, 0x931e8875)
    return folded(Math.imul(keyed, multiplier))
  }
  const pool = Uint32Array.from({ length: poolSize }, (_, i) => hashed(entropy[i] ?? 0))
  for (let source = 0; source < poolSize; source++) {
    for (let i = 0; i < poolSize; i++) if (i !== source) pool[i] = mixed(pool[i]!, hashed(pool[source]!))
  }
  for (const word of entropy.slice(poolSize)) for (let i = 0; i < poolSize; i++) pool[i] = mixed(pool[i]!, hashed(word))
  return pool
}

function mixed(x: number, y: number): number {
  return folded(Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y))
}

function folded(word: number): number {
  return word ^ (word >>> 16)
}
