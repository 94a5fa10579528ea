import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { PromptTokenizer } from './tokenizer.ts'

const GOLDEN = path.resolve(import.meta.dirname, '../../../../test/golden/tokenizer')
const EMOJI = path.resolve(import.meta.dirname, '../../../../deploy/checkpoints/emoji-sd/tokenizer')

describe('prompt tokenizer', () => {
  const { cases } = JSON.parse(readFileSync(path.join(GOLDEN, 'clip_tokens.json'), 'utf8')) as {
    cases: { text: string; input_ids: number[] }[]
  }
  const clip = new PromptTokenizer(GOLDEN, 77)

  test.for(cases)('gives the ids of transformers for $text', ({ text, input_ids: want }) => {
    expect(clip.encode(text).inputIds).toEqual(want)
  })

  test('a prompt that fits is padded to the length of the model and loses nothing', () => {
    const { inputIds, truncated } = new PromptTokenizer(EMOJI, 32).encode('a red apple')
    expect(inputIds).toHaveLength(32)
    expect(inputIds[0]).toBe(1197)
    expect(new Set(inputIds.slice(-20))).toEqual(new Set([1198]))
    expect(truncated).toBeNull()
  })

  test('a prompt that is too long keeps its start and end and tells what was cut off', () => {
    const words = Array.from({ length: 40 }, () => 'cat')
    const { inputIds, truncated } = new PromptTokenizer(EMOJI, 32).encode([...words, 'dog'].join(' '))
    expect(inputIds).toHaveLength(32)
    expect(inputIds[0]).toBe(1197)
    expect(inputIds.at(-1)).toBe(1198)
    expect(truncated).toMatch(/^cat cat .* dog/)
  })
})
