import { isGuided, latentsForDecoder, rowsOf, timestepOf, toRgb8, writeModelInput } from '@darkroom/diffusion'
import type { CheckpointDescription, Lane } from '@darkroom/diffusion'
import path from 'node:path'
import { describeFolder } from './describe-folder.ts'
import { RecentlyUsed } from './recently-used.ts'
import { Graph } from './sessions.ts'
import type { SessionSettings } from './sessions.ts'
import { PromptTokenizer } from './tokenizer.ts'

const CACHED_PROMPTS = 512

export interface EncodedPrompt {
  /** [tokens, width], flattened. */
  readonly embedding: Float32Array
  readonly truncated: string | null
}

/** One checkpoint in memory: its graphs, its tokenizer, and how a lane's step runs through them. */
export class Model {
  readonly description: CheckpointDescription
  readonly #unet: Graph
  readonly #textEncoder: Graph | null
  readonly #decoder: Graph | null
  readonly #tokenizer: PromptTokenizer | null
  readonly #prompts = new RecentlyUsed<EncodedPrompt>(CACHED_PROMPTS)

  private constructor(
    description: CheckpointDescription,
    unet: Graph,
    textEncoder: Graph | null,
    decoder: Graph | null,
    tokenizer: PromptTokenizer | null,
  ) {
    this.description = description
    this.#unet = unet
    this.#textEncoder = textEncoder
    this.#decoder = decoder
    this.#tokenizer = tokenizer
  }

  /** @param folder a verified checkpoint in the diffusers layout, exported to ONNX */
  static async load(folder: string, settings: SessionSettings): Promise<Model> {
    const description = describeFolder(folder)
    const graph = (name: string): Promise<Graph> => Graph.load(path.join(folder, name, 'model.onnx'), settings)
    if (description.promptMaxLength === null) return new Model(description, await graph('unet'), null, null, null)
    const tokenizer = new PromptTokenizer(path.join(folder, 'tokenizer'), description.promptMaxLength)
    return new Model(
      description,
      await graph('unet'),
      await graph('text_encoder'),
      await graph('vae_decoder'),
      tokenizer,
    )
  }

  /** Whether lanes at different timesteps fit one call: exports with a scalar timestep take one for all. */
  get takesTimestepPerSample(): boolean {
    return this.#unet.inputs.get('timestep')!.rank > 0
  }

  async encodePrompt(prompt: string): Promise<EncodedPrompt> {
    const cached = this.#prompts.get(prompt)
    if (cached !== undefined) return cached
    const { inputIds, truncated } = this.#tokenizer!.encode(prompt)
    const ids = { input_ids: { data: inputIds, dims: [1, inputIds.length] } }
    const encoded = { embedding: await this.#textEncoder!.run(ids, 'last_hidden_state'), truncated }
    this.#prompts.set(prompt, encoded)
    return encoded
  }

  /**
   * One UNet call for all lanes.
   * @param embeddings what each row is conditioned on, in order; empty where the task takes no prompt
   * @param padTo rows of the call, at least those that the lanes take: closed sets of shapes keep GPUs from recompiling
   * @returns the output, [padTo, channels, height, width] flattened, the lanes' rows first
   */
  async predict(lanes: readonly Lane[], embeddings: readonly Float32Array[], padTo: number): Promise<Float32Array> {
    const first = lanes[0]!
    const size = first.latents.length
    const sample = new Float32Array(padTo * size)
    const timesteps: number[] = []
    for (const lane of lanes) {
      writeModelInput(lane, sample, timesteps.length * size)
      for (let r = 0; r < rowsOf(lane); r++) timesteps.push(timestepOf(lane))
    }
    while (timesteps.length < padTo) timesteps.push(timesteps[0]!)
    return this.#unet.run({
      sample: { data: sample, dims: [padTo, ...first.shape] },
      timestep: this.takesTimestepPerSample
        ? { data: timesteps, dims: [padTo] }
        : { data: timesteps.slice(0, 1), dims: [] },
      ...this.#conditioning(embeddings, padTo),
    })
  }

  #conditioning(rows: readonly Float32Array[], padTo: number): Record<string, { data: Float32Array; dims: number[] }> {
    if (rows.length === 0) return {}
    const size = rows[0]!.length
    const tokens = this.description.promptMaxLength!
    const data = new Float32Array(padTo * size)
    for (const [i, embedding] of rows.entries()) data.set(embedding, i * size)
    return { encoder_hidden_states: { data, dims: [padTo, tokens, size / tokens] } }
  }

  /** The finished lane's picture, [height, width, 3] in 8 bit. @throws RangeError where the model put out no number */
  async decode(lane: Lane): Promise<Uint8Array> {
    const { width, height } = lane.request
    const sample = this.#decoder === null ? lane.latents : await this.#decodeLatents(lane)
    if (!sample.every(Number.isFinite))
      throw new RangeError(
        'the model put out NaN or infinity: the prompt, size or precision does not suit this checkpoint.',
      )
    return toRgb8(sample, width, height)
  }

  async #decodeLatents(lane: Lane): Promise<Float32Array> {
    const { scalingFactor, shiftFactor } = this.description
    const latents = latentsForDecoder(lane.latents, scalingFactor, shiftFactor)
    return this.#decoder!.run({ latent_sample: { data: latents, dims: [1, ...lane.shape] } })
  }

  /** What the lane's rows are conditioned on, and the text that did not fit. */
  async condition(
    lane: Lane,
    prompt: string,
    negativePrompt: string,
  ): Promise<{ embeddings: Float32Array[]; truncated: string | null }> {
    if (this.#tokenizer === null) return { embeddings: [], truncated: null }
    const { embedding, truncated } = await this.encodePrompt(prompt)
    if (!isGuided(lane.request)) return { embeddings: [embedding], truncated }
    const negative = await this.encodePrompt(negativePrompt)
    return { embeddings: [negative.embedding, embedding], truncated }
  }

  /** Frees the graphs; nothing may run on them any more. */
  async release(): Promise<void> {
    for (const graph of [this.#unet, this.#textEncoder, this.#decoder]) await graph?.release()
  }
}
