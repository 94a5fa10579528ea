import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
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

/** As transformers has them: what JavaScript reads otherwise than Rust, and so @huggingface/tokenizers by itself. */
const READ_OTHERWISE = [
  [
    'capital sigmas at the end of a word',
    'ΟΔΟΣ ΣΑΣ',
    [1197, 138, 123, 138, 112, 138, 123, 139, 481, 139, 225, 138, 109, 139, 481],
  ],
  ['a byte order mark amid punctuation', 'wow!\ufeff!', [1197, 86, 78, 342, 0, 171, 119, 123, 256]],
] as const

describe.for([
  ['tokenizer.json', (): string => EMOJI],
  ['vocab.json and merges.txt alone', (): string => olderFolder({})],
] as const)('%s', ([, folder]) => {
  test.for(READ_OTHERWISE)('reads %s as transformers does', ([, text, want]) => {
    const { inputIds } = new PromptTokenizer(folder(), 77).encode(text)
    expect(inputIds.slice(0, want.length + 1)).toEqual([...want, 1198])
  })
})

interface FastTokenizer {
  readonly model: { readonly vocab: Record<string, number>; readonly merges: readonly (readonly string[])[] }
}

/** The emoji tokenizer as older checkpoints carry theirs: a vocabulary, merges, and these settings. */
function olderFolder(files: Readonly<Record<string, object>>): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-tokenizer-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const { model } = JSON.parse(readFileSync(path.join(EMOJI, 'tokenizer.json'), 'utf8')) as FastTokenizer
  const merges = model.merges.map((pair) => pair.join(' '))
  writeFileSync(path.join(folder, 'merges.txt'), ['#version: 0.2', ...merges, ''].join('\n'))
  for (const [name, value] of Object.entries({ 'vocab.json': model.vocab, ...files })) {
    writeFileSync(path.join(folder, name), JSON.stringify(value))
  }
  return folder
}

describe('a tokenizer without tokenizer.json', () => {
  const end = { content: '<|endoftext|>', lstrip: false, normalized: true, rstrip: false, single_word: false }
  const config = { bos_token: { ...end, content: '<|startoftext|>' }, eos_token: end, unk_token: end }
  const [plain, padding] = [
    [1197, 859, 75, 334, 256, 1198, 1198, 1198],
    [1197, 859, 75, 334, 0, 1198, 0, 0],
  ]

  test.for([
    ['pads with the end where nothing else is said', { 'tokenizer_config.json': config }, plain],
    ['does without a config', {}, plain],
    [
      'takes the "!" of a text for the token that pads',
      { 'tokenizer_config.json': { ...config, pad_token: '!' } },
      padding,
    ],
    [
      'believes special_tokens_map.json rather than its config',
      {
        'tokenizer_config.json': { ...config, pad_token: '<|endoftext|>' },
        'special_tokens_map.json': { ...config, pad_token: '!' },
      },
      padding,
    ],
    [
      'believes a config that lists its added tokens',
      {
        'tokenizer_config.json': { ...config, pad_token: '<|endoftext|>', added_tokens_decoder: {} },
        'special_tokens_map.json': { pad_token: '!' },
      },
      plain,
    ],
  ] as const)('%s, as transformers does', ([, files, want]) => {
    expect(new PromptTokenizer(olderFolder(files), 77).encode('hello!').inputIds.slice(0, 8)).toEqual(want)
  })

  test('looks for its special tokens in the text as it is normalized, where its config says so', () => {
    const tokenizer = new PromptTokenizer(olderFolder({ 'tokenizer_config.json': config }), 77)
    expect(tokenizer.encode(' <|STARTOFTEXT|>').inputIds.slice(0, 3)).toEqual([1197, 1197, 1198])
  })
})
