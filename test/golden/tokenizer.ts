import { existsSync } from 'node:fs'
import path from 'node:path'
import { PromptTokenizer } from '../../services/worker/src/engine/tokenizer.ts'
import { readJson } from './read-json.ts'

interface TokenizerInput {
  readonly cases: readonly { readonly text: string }[]
}

/** The worker's tokenizer over each text, padded to the model's length. */
export function runTokenizer(
  checkpoint: string,
  { cases }: TokenizerInput,
): { cases: { input_ids: readonly number[] }[] } {
  const tokenizer = new PromptTokenizer(path.join(checkpoint, 'tokenizer'), maxLengthOf(checkpoint))
  return { cases: cases.map(({ text }) => ({ input_ids: tokenizer.encode(text).inputIds })) }
}

/** The encoder's positions, as far as the tokenizer goes; CLIP's 77 where no file says. */
function maxLengthOf(checkpoint: string): number {
  const read = (...file: string[]): object => {
    const at = path.join(checkpoint, ...file)
    return existsSync(at) ? (readJson(at) as object) : {}
  }
  const encoder: { max_position_embeddings?: number } = read('text_encoder', 'config.json')
  const positions = encoder.max_position_embeddings ?? 77
  const limits: { model_max_length?: number } = read('tokenizer', 'tokenizer_config.json')
  return Math.min(positions, limits.model_max_length ?? positions)
}
