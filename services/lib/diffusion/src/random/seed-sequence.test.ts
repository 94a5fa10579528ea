import { expect, test } from 'vitest'
import { seedSequence } from './seed-sequence.ts'

/** numpy.random.SeedSequence(entropy, spawn_key, pool_size=…).generate_state(…) */
const STATES: { of: string; args: Parameters<typeof seedSequence>; words: number[] }[] = [
  {
    of: 'a plain seed',
    args: [0n, [], 4, 6],
    words: [2968811710, 3677149159, 745650761, 2884920346, 2642120001, 549907821],
  },
  {
    of: 'a child of a seed of two words',
    args: [2n ** 40n + 7n, [3, 2], 24, 4],
    words: [500983476, 713085380, 2292743367, 1579387075],
  },
  { of: 'a child whose key has two words', args: [123n, [2 ** 33 + 5, 34], 24, 2], words: [1239778772, 4099326712] },
]

test.for(STATES)('gives the words that numpy gives for $of', ({ args, words }) => {
  expect([...seedSequence(...args)]).toEqual(words)
})
