import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { PromptTokenizer } from '../../../services/worker/src/engine/tokenizer.ts'
import { clipTokenizer } from './clip-tokenizer.ts'
import { untrainedTensor } from './untrained-weights.ts'

test('a tensor has the spread that is asked for, about zero, and no two seeds the same values', () => {
  const recipe = { type: 'float16', count: 100_001, offset: 0, std: 0.05 } as const
  const bytes = untrainedTensor(recipe, 1)
  const values = new Float16Array(bytes.buffer, bytes.byteOffset, recipe.count)
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
  expect(Math.abs(mean)).toBeLessThan(0.001)
  expect(Math.sqrt(variance)).toBeCloseTo(0.05, 3)
  expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(0.05 * Math.sqrt(3) * 1.001)
  expect(untrainedTensor(recipe, 1)).toEqual(bytes)
  expect(untrainedTensor(recipe, 2)).not.toEqual(bytes)
})

test('a tensor of one value is filled with it', () => {
  const bytes = untrainedTensor({ type: 'float32', count: 3, offset: 0, value: 1 }, 1)
  expect([...new Float32Array(bytes.buffer)]).toEqual([1, 1, 1])
})

test('the tokenizer has the size of CLIP, and cuts words into pieces of its alphabet', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-tokenizer-'))
  try {
    const files = clipTokenizer()
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text)
    const vocab = JSON.parse(files['vocab.json']!) as Record<string, number>
    const tokens = new Map(Object.entries(vocab).map(([token, id]) => [id, token]))
    expect(tokens.size).toBe(49_408)
    const { inputIds, truncated } = new PromptTokenizer(folder, 77).encode('A cat, 3 éclairs')
    const pieces = inputIds.map((id) => tokens.get(id))
    expect(inputIds).toHaveLength(77)
    expect(truncated).toBeNull()
    expect(pieces.slice(0, 5)).toEqual(['<|startoftext|>', 'a</w>', 'cat</w>', ',</w>', '3</w>'])
    expect(pieces.at(-1)).toBe('<|endoftext|>')
    expect(Math.max(...inputIds)).toBe(49_407)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
