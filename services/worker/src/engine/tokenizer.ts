import { Tokenizer } from '@huggingface/tokenizers'
import { readTokenizerFiles, tokenText } from './tokenizer-files.ts'

export interface TokenizedPrompt {
  /** As many ids as asked for: start, prompt, end, padding. */
  readonly inputIds: readonly number[]
  /** How many of them come before the padding. */
  readonly length: number
  /** The text that did not fit; null where all did. */
  readonly truncated: string | null
}

/** A tokenizer of one checkpoint, padded and truncated as diffusers' pipelines ask for it (`padding="max_length"`). */
export class PromptTokenizer {
  readonly #tokenizer: Tokenizer
  readonly #maxLength: number
  readonly #endId: number
  readonly #padId: number

  /**
   * @param folder of the checkpoint, with tokenizer.json, or vocab.json and merges.txt
   * @param maxLength ids that a prompt is padded and cut to
   */
  constructor(folder: string, maxLength: number) {
    const { tokenizer, config } = readTokenizerFiles(folder)
    this.#tokenizer = new Tokenizer(tokenizer, config)
    this.#maxLength = maxLength
    this.#endId = this.#idOf(config['eos_token'], '<|endoftext|>')
    this.#padId = this.#idOf(config['pad_token'], '<|endoftext|>')
  }

  encode(text: string, maxLength = this.#maxLength): TokenizedPrompt {
    const { ids } = this.#tokenizer.encode(text)
    if (ids.length <= maxLength) {
      const padding = Array<number>(maxLength - ids.length).fill(this.#padId)
      return { inputIds: [...ids, ...padding], length: ids.length, truncated: null }
    }
    const rest = ids.slice(maxLength - 1, -1)
    const inputIds = [...ids.slice(0, maxLength - 1), this.#endId]
    return { inputIds, length: maxLength, truncated: this.#tokenizer.decode(rest) }
  }

  #idOf(token: unknown, fallback: string): number {
    const text = tokenText(token) ?? fallback
    const id = this.#tokenizer.token_to_id(text)
    if (id === undefined) throw new RangeError(`the tokenizer has no token ${text}`)
    return id
  }
}
