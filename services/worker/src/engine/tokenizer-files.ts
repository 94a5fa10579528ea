import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { asRustReads } from './tokenizer-rewrites.ts'

type Json = Readonly<Record<string, unknown>>

/** What a tokenizer is built from: the fast form of its model, and its config. */
export interface TokenizerFiles {
  readonly tokenizer: Json
  readonly config: Json
}

/**
 * Reads a checkpoint's tokenizer folder: tokenizer.json, or the vocab.json and merges.txt that older checkpoints of CLIP have.
 * Either may be all that there is.
 * @throws Error where neither is there
 */
export function readTokenizerFiles(folder: string): TokenizerFiles {
  const has = (name: string): boolean => existsSync(path.join(folder, name))
  const json = (name: string): Json => JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as Json
  const own = has('tokenizer_config.json') ? json('tokenizer_config.json') : {}
  // As transformers reads them: what older folders say beside the config wins over it (Stable Diffusion 2 pads by that).
  const isOlder = has('special_tokens_map.json') && !('added_tokens_decoder' in own)
  const config = isOlder ? { ...own, ...json('special_tokens_map.json') } : own
  if (has('tokenizer.json')) {
    return { tokenizer: withSpecials(asRustReads(json('tokenizer.json')), config), config }
  }
  if (!has('vocab.json')) {
    throw new RangeError(`${path.basename(folder)} has neither tokenizer.json nor vocab.json with merges.txt.`)
  }
  const merges = readFileSync(path.join(folder, 'merges.txt'), 'utf8').split('\n')
  const tokenizer = asRustReads(clipTokenizer(json('vocab.json') as Record<string, number>, merges))
  const clipConfig = { ...CLIP_SPECIALS, ...config }
  return { tokenizer: withSpecials(tokenizer, clipConfig), config: clipConfig }
}

const SPECIALS = ['bos_token', 'eos_token', 'unk_token', 'pad_token'] as const

/**
 * Adds the config's special tokens to those that a prompt is cut at: where "!" pads, as in Stable Diffusion XL's second
 * tokenizer, it is a token of its own in the text too.
 */
function withSpecials(tokenizer: Json, config: Json): Json {
  const added = tokenizer['added_tokens'] as readonly { readonly content: string }[]
  const { vocab } = tokenizer['model'] as { readonly vocab: Json | readonly unknown[] }
  const tokens = new Map(SPECIALS.map((key) => [tokenText(config[key]), config[key]]))
  for (const { content } of added) tokens.delete(content)
  // Vocabularies of another kind (T5's lists) name theirs themselves.
  const missing = Array.isArray(vocab) ? [] : [...tokens].filter(([text]) => Object.hasOwn(vocab, text ?? ''))
  return { ...tokenizer, added_tokens: [...added, ...missing.map(([text, token]) => special(text!, token, vocab))] }
}

/** A token of a config, which may be its text or an object around it. */
export function tokenText(token: unknown): string | undefined {
  return typeof token === 'string' ? token : (token as { content?: string } | null | undefined)?.content
}

function special(content: string, token: unknown, vocab: Json | readonly unknown[]): Json {
  // Whether it is looked for in the text as it stands, or as it is normalized.
  const normalized = (token as { normalized?: boolean }).normalized ?? false
  const id = (vocab as Json)[content]
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized, special: true }
}

const START = '<|startoftext|>'
const END = '<|endoftext|>'
/** What transformers' `CLIPTokenizer` has for those that no file names. */
const CLIP_SPECIALS = { bos_token: START, eos_token: END, unk_token: END, pad_token: END }
const PIECES = String.raw`<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`

/** CLIP's byte-pair encoding in the fast form. transformers `CLIPConverter` (convert_slow_tokenizer.py). */
function clipTokenizer(vocab: Readonly<Record<string, number>>, lines: readonly string[]): Json {
  const merges = lines.filter((line) => line.trim() !== '' && !line.startsWith('#version'))
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
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
