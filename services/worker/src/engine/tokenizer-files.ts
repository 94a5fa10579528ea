import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

type Json = Readonly<Record<string, unknown>>

/** What a tokenizer is built from: the fast form of its model, and its config. */
export interface TokenizerFiles {
  readonly tokenizer: Json
  readonly config: Json
}

/**
 * Reads a checkpoint's tokenizer folder: tokenizer.json, or the vocab.json and merges.txt that older checkpoints of CLIP have.
 * @throws Error where neither is there
 */
export function readTokenizerFiles(folder: string): TokenizerFiles {
  const json = (name: string): Json => JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as Json
  const config = json('tokenizer_config.json')
  if (existsSync(path.join(folder, 'tokenizer.json'))) return { tokenizer: json('tokenizer.json'), config }
  if (!existsSync(path.join(folder, 'vocab.json'))) {
    throw new RangeError(`${path.basename(folder)} has neither tokenizer.json nor vocab.json with merges.txt.`)
  }
  const merges = readFileSync(path.join(folder, 'merges.txt'), 'utf8').split('\n')
  return { tokenizer: clipTokenizer(json('vocab.json') as Record<string, number>, merges), config }
}

const START = '<|startoftext|>'
const END = '<|endoftext|>'
const PIECES = String.raw`<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`

/** CLIP's byte-pair encoding in the fast form. transformers `CLIPConverter` (convert_slow_tokenizer.py). */
function clipTokenizer(vocab: Readonly<Record<string, number>>, lines: readonly string[]): Json {
  const merges = lines.filter((line) => line.trim() !== '' && !line.startsWith('#version'))
  const special = (content: string): Json => ({
    id: vocab[content],
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [special(START), special(END)],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'NFC' },
        { type: 'Replace', pattern: { Regex: String.raw`\s+` }, content: ' ' },
        { type: 'Lowercase' },
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: PIECES }, behavior: 'Removed', invert: true },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: {
      type: 'RobertaProcessing',
      sep: [END, vocab[END]],
      cls: [START, vocab[START]],
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: END,
      continuing_subword_prefix: '',
      end_of_word_suffix: '</w>',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: merges.map((line) => line.trim().split(' ')),
    },
  }
}
