import { readFileSync } from 'node:fs'
import path from 'node:path'
import { PromptTokenizer } from '../../services/worker/src/engine/tokenizer.ts'

interface TokenizerInput {
  readonly cases: readonly { readonly text: string }[]
}

/** The worker's tokenizer over each text, padded to the model's length. */
export function runTokenizer(
  checkpoint: string,
  { cases }: TokenizerInput,
): { cases: { input_ids: readonly number[] }[] } {
  const folder = path.join(checkpoint, 'tokenizer')
  const config = JSON.parse(readFileSync(path.join(folder, 'tokenizer_config.json'), 'utf8')) as {
    model_max_length: number
  }
  const tokenizer = new PromptTokenizer(folder, config.model_max_length)
  return { cases: cases.map(({ text }) => ({ input_ids: tokenizer.encode(text).inputIds })) }
}
