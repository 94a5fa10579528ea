type Json = Readonly<Record<string, unknown>>

/** What byte-level tokenizers cut a text by, as GPT-2. */
const BYTE_LEVEL_PIECES = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

/**
 * Says a tokenizer.json so that JavaScript reads it as Rust does, for which it was written. `toLowerCase` looks at the word
 * around a capital sigma, where Rust's goes character by character; and the pattern that @huggingface/tokenizers has built in
 * for `ByteLevel` takes U+FEFF for white space and U+0085 for none, where patterns of the file are read as they are meant.
 */
export function asRustReads(tokenizer: Json): Json {
  return {
    ...tokenizer,
    normalizer: rewritten(tokenizer['normalizer'], 'normalizers', lowercased),
    pre_tokenizer: rewritten(tokenizer['pre_tokenizer'], 'pretokenizers', cut),
  }
}

/** A step, or each step of a sequence, replaced by the steps that `rewrite` makes of it. */
function rewritten(step: unknown, list: string, rewrite: (step: Json) => readonly Json[]): Json | null {
  if (typeof step !== 'object' || step === null) return null
  const steps = flat(step as Json, list).flatMap(rewrite)
  return steps.length === 1 ? steps[0]! : { type: 'Sequence', [list]: steps }
}

function flat(step: Json, list: string): readonly Json[] {
  return step['type'] === 'Sequence' ? (step[list] as readonly Json[]).flatMap((one) => flat(one, list)) : [step]
}

function lowercased(step: Json): readonly Json[] {
  return step['type'] === 'Lowercase' ? [{ type: 'Replace', pattern: { String: 'Σ' }, content: 'σ' }, step] : [step]
}

function cut(step: Json): readonly Json[] {
  const isCutting = step['type'] === 'ByteLevel' && step['use_regex'] !== false && step['add_prefix_space'] !== true
  if (!isCutting) return [step]
  const split = { type: 'Split', pattern: { Regex: BYTE_LEVEL_PIECES }, behavior: 'Removed', invert: true }
  return [split, { ...step, use_regex: false }]
}
