import { expect, test } from 'vitest'
import type { RenderState } from '../engine/messages.ts'
import { decodeProgress, encodeProgress } from './shard-progress.ts'
import type { ProgressOwner, ShardProgress } from './shard-progress.ts'

const owner: ProgressOwner = {
  batchId: 'b',
  shardId: '00000-00000',
  renderedBy: { darkroom: '1.2.3', onnxruntime: '4.5.6', device: 'cpu', determinism: 'request' },
}

const generator = { words: Uint32Array.of(1, 2 ** 32 - 1), index: 624, cachedNormal: -0.1 }
const state: RenderState = {
  base: { latents: Float32Array.of(5), generator, seconds: 1, steps: 2, warnings: ['long'] },
  lane: {
    index: 7,
    latents: Float32Array.of(0.1, -0, Number.NaN),
    schedulerState: { outputs: [Float32Array.of(3, 4)], last: null },
    extraChannels: null,
    kept: { mask: Float32Array.of(1), latents: Float32Array.of(2), noise: Float32Array.of(3) },
    generator,
  },
  seconds: 0.1 + 0.2,
}
const image = { n: 1, seed: 2, name: '3-1-ff.png', sha256: 'ff', bytes: 9, width: 64, height: 64 }
const progress: ShardProgress = {
  finished: new Map([['3-1', { image, steps: 20, seconds: 0.3, warnings: ['too long'] }]]),
  begun: new Map([['3-0', state]]),
}

test('the progress of a shard comes back as it was, to the bit', () => {
  expect(decodeProgress(owner, encodeProgress(owner, progress))).toEqual(progress)
})

test.for<[string, ProgressOwner]>([
  ['another kind of device', { ...owner, renderedBy: { ...owner.renderedBy, device: 'cuda' } }],
  ['another version of Darkroom', { ...owner, renderedBy: { ...owner.renderedBy, darkroom: '1.2.4' } }],
  ['another version of onnxruntime', { ...owner, renderedBy: { ...owner.renderedBy, onnxruntime: '4.5.7' } }],
  ['another shard', { ...owner, shardId: '00000-00001' }],
  ['another batch', { ...owner, batchId: 'c' }],
])('the progress of %s is foreign', ([, other]) => {
  expect(decodeProgress(owner, encodeProgress(other, progress))).toBe('foreign')
})

test('bytes that are no progress are damaged', () => {
  const bytes = encodeProgress(owner, progress)
  for (const damaged of [new Uint8Array(), Buffer.from('{}'), bytes.subarray(0, -1), bytes.fill(0, 100, 104)]) {
    expect(decodeProgress(owner, damaged)).toBe('damaged')
  }
})
