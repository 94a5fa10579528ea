import type { Tensors, TextEncoder } from '@darkroom/diffusion'
import path from 'node:path'
import { Graph } from './sessions.ts'
import type { SessionSettings } from './sessions.ts'
import { PromptTokenizer } from './tokenizer.ts'

export interface EncodedPrompt {
  /** Outputs of each encoder, in the family's order; null for one that the checkpoint does without. */
  readonly outputs: readonly (Tensors | null)[]
  /** One sentence for each encoder that the prompt was too long for. */
  readonly warnings: readonly string[]
}

interface Loaded {
  readonly wanted: TextEncoder
  readonly graph: Graph
  readonly tokenizer: PromptTokenizer
}

/** The text encoders of a checkpoint with their tokenizers. */
export class PromptEncoders {
  readonly #encoders: readonly (Loaded | null)[]

  private constructor(encoders: readonly (Loaded | null)[]) {
    this.#encoders = encoders
  }

  static async load(
    folder: string,
    encoders: readonly (TextEncoder | null)[],
    settings: SessionSettings,
  ): Promise<PromptEncoders> {
    const loaded: (Loaded | null)[] = []
    for (const wanted of encoders) {
      if (wanted === null) {
        loaded.push(null)
        continue
      }
      const graph = await Graph.load(path.join(folder, wanted.encoder, 'model.onnx'), settings)
      loaded.push({
        wanted,
        graph,
        tokenizer: new PromptTokenizer(path.join(folder, wanted.tokenizer), wanted.maxLength),
      })
    }
    return new PromptEncoders(loaded)
  }

  /** @param maxSequenceLength tokens of a T5 prompt */
  async encode(prompt: string, maxSequenceLength?: number): Promise<EncodedPrompt> {
    const outputs: (Tensors | null)[] = []
    const warnings: string[] = []
    for (const encoder of this.#encoders) {
      if (encoder === null) {
        outputs.push(null)
        continue
      }
      const { wanted, graph, tokenizer } = encoder
      const maxLength = wanted.followsRequest ? (maxSequenceLength ?? wanted.maxLength) : wanted.maxLength
      const { inputIds, length, truncated } = tokenizer.encode(prompt, maxLength)
      if (truncated !== null) {
        warnings.push(`the prompt is longer than ${maxLength} tokens; this was cut off: ${truncated.trim()}`)
      }
      const dims = [1, inputIds.length]
      const mask = inputIds.map((_, i) => Number(i < length || !wanted.masksPadding))
      const feeds = { input_ids: { data: inputIds, dims }, attention_mask: { data: mask, dims } }
      const encoded = await graph.run(feeds, wanted.outputs)
      outputs.push(
        Object.fromEntries(
          Object.entries(encoded).map(([name, { data, dims }]) => [name, { data, dims: dims.slice(1) }]),
        ),
      )
    }
    return { outputs, warnings: [...new Set(warnings)] }
  }

  async release(): Promise<void> {
    for (const encoder of this.#encoders) await encoder?.graph.release()
  }
}
