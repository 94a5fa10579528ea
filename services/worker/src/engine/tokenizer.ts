import { Tokenizer } from '@huggingface/tokenizers'
import { readFileSync } from 'node:fs'
import path from 'node:path'

export interface TokenizedPrompt {
  /** maxLength ids: start, prompt, end, padding. */
  readonly inputIds: readonly number[]
  /** The text that did not fit; null where all did. */
  readonly truncated: string | null
}

/** CLIP's tokenizer of one checkpoint, padded and truncated as diffusers' pipelines ask for it (`padding="max_length"`). */
export class PromptTokenizer {
  readonly #tokenizer: Tokenizer
  readonly #maxLength: number
  readonly #endId: number
  readonly #padId: number

  /** @param folder the checkpoint's `tokenizer` folder, with tokenizer.json and tokenizer_config.json */
  constructor(folder: string, maxLength: number) {
    const read = (name: string): Record<string, unknown> =>
      JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as Record<string, unknown>
    const config = read('tokenizer_config.json')
    this.#tokenizer = new Tokenizer(read('tokenizer.json'), config)
    this.#maxLength = maxLength
    this.#endId = this.#idOf(config['eos_token'], '<|endoftext|>')
    this.#padId = this.#idOf(config['pad_token'], '<|endoftext|>')
  }

  encode(text: string): TokenizedPrompt {
    const { ids } = this.#tokenizer.encode(text)
    const room = this.#maxLength
    if (ids.length <= room)
      return { inputIds: [...ids, ...Array<number>(room - ids.length).fill(this.#padId)], truncated: null }
    const rest = ids.slice(room - 1, -1)
    return { inputIds: [...ids.slice(0, room - 1), this.#endId], truncated: this.#tokenizer.decode(rest) }
  }

  #idOf(token: unknown, fallback: string): number {
    const text = typeof token === 'string' ? token : ((token as { content?: string } | null)?.content ?? fallback)
    const id = this.#tokenizer.token_to_id(text)
    if (id === undefined) throw new RangeError(`the tokenizer has no token ${text}`)
    return id
  }
}
