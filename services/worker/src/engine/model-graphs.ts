import {
  denormalizeLatents,
  FAMILIES,
  fitSketch,
  normalizeLatents,
  sketchLatents,
  sketchPicture,
} from '@darkroom/diffusion'
import type { CheckpointDescription, EncodedInputs, LatentSketch, Raster } from '@darkroom/diffusion'
import path from 'node:path'
import type { RenderRequest } from './messages.ts'
import { PictureEncoder } from './picture-encoder.ts'
import { PromptEncoders } from './prompt-encoders.ts'
import type { EncodedPrompt } from './prompt-encoders.ts'
import { SafetyChecker } from './safety-checker.ts'
import { Graph } from './sessions.ts'
import type { Output, SessionSettings } from './sessions.ts'

const TRACED_ROWS = 2
/** Latent pixels of the picture that a sketch is fitted to. */
const SKETCH_SIDE = 32

/** One call of the denoiser. */
export interface DenoiserCall {
  /** By the graph's names; each with `count` rows. Those that all rows share are in `shared`. */
  readonly rows: Readonly<Record<string, Output>>
  readonly shared: Readonly<Record<string, Output>>
  readonly count: number
}

/** The graphs of one checkpoint. Each method blocks its thread while onnxruntime works; values in and out are plain data. */
export class ModelGraphs {
  readonly description: CheckpointDescription
  /** Dimensions of the denoiser's timestep, names where they are free. */
  readonly timestepDims: readonly (number | string)[]
  readonly #denoiser: Graph
  readonly #prompts: PromptEncoders
  readonly #pictures: PictureEncoder
  readonly #decoder: Graph | null
  readonly #safety: SafetyChecker | null
  /** Rows that each call must have; null where any number does. */
  #callRows: number | null

  private constructor(
    description: CheckpointDescription,
    graphs: {
      readonly denoiser: Graph
      readonly prompts: PromptEncoders
      readonly pictures: PictureEncoder
      readonly decoder: Graph | null
      readonly safety: SafetyChecker | null
    },
  ) {
    this.description = description
    this.timestepDims = graphs.denoiser.inputs.get('timestep')!.dims
    this.#callRows = fixedRows(graphs.denoiser, FAMILIES[description.spec.family].sampleInput)
    this.#denoiser = graphs.denoiser
    this.#prompts = graphs.prompts
    this.#pictures = graphs.pictures
    this.#decoder = graphs.decoder
    this.#safety = graphs.safety
  }

  /** @param folder a verified checkpoint in the diffusers layout, exported to ONNX, that is as described */
  static async load(
    folder: string,
    description: CheckpointDescription,
    settings: SessionSettings,
  ): Promise<ModelGraphs> {
    const { spec, textEncoders, hasSafetyChecker } = description
    const graph = (name: string): Promise<Graph> => Graph.load(path.join(folder, name, 'model.onnx'), settings)
    return new ModelGraphs(description, {
      denoiser: await graph(FAMILIES[spec.family].denoiser),
      prompts: await PromptEncoders.load(folder, textEncoders, settings),
      pictures: new PictureEncoder(folder, spec, settings),
      decoder: spec.family === 'unconditional' ? null : await graph('vae_decoder'),
      safety: hasSafetyChecker ? await SafetyChecker.load(folder, settings) : null,
    })
  }

  encodePrompt(prompt: string, maxSequenceLength: number | undefined): Promise<EncodedPrompt> {
    return this.#prompts.encode(prompt, maxSequenceLength)
  }

  encodePictures(request: RenderRequest): Promise<EncodedInputs> {
    return this.#pictures.encode(request)
  }

  /**
   * Exporters trace a model with a batch of two (Optimum's default), and some graphs keep that number without saying so: where a
   * call fails whose rows are not two, it is tried in pairs, and if that works so is every later call.
   * @returns the output, [count, outputSize] flattened
   */
  async denoise(call: DenoiserCall): Promise<Float32Array> {
    if (this.#callRows !== null) return this.#denoiseInParts(call, this.#callRows)
    try {
      return await this.#denoiser.runOne({ ...call.rows, ...call.shared })
    } catch (reason) {
      if (call.count === TRACED_ROWS) throw reason
      const output = await this.#denoiseInParts(call, TRACED_ROWS).catch(() => null)
      if (output === null) throw reason
      this.#callRows = TRACED_ROWS
      return output
    }
  }

  async #denoiseInParts({ rows, shared, count }: DenoiserCall, partRows: number): Promise<Float32Array> {
    const parts: Float32Array[] = []
    for (let from = 0; from < count; from += partRows) {
      const part = Object.entries(rows).map(([name, { data, dims }]) => {
        const size = data.length / count
        const padded = new Float32Array(partRows * size)
        padded.set(data.subarray(from * size, (from + partRows) * size))
        return [name, { data: padded, dims: [partRows, ...dims.slice(1)] }] as const
      })
      parts.push(await this.#denoiser.runOne({ ...Object.fromEntries(part), ...shared }))
    }
    const output = new Float32Array(parts.length * parts[0]!.length)
    for (const [k, part] of parts.entries()) output.set(part, k * part.length)
    return output
  }

  /** @param latents [channels, height, width]; not called for checkpoints without a VAE */
  decode(latents: Float32Array, dims: readonly number[]): Promise<Float32Array> {
    return this.#decoder!.runOne({ latent_sample: { data: latents, dims: [1, ...dims] } })
  }

  /** Whether the safety checker flags a picture. */
  flags(picture: Raster): Promise<boolean> {
    return this.#safety!.flags(picture)
  }

  /** The linear map from latents to colours that is nearest to the checkpoint's own VAE, on pictures that it knows. */
  async fitSketch(): Promise<LatentSketch> {
    const { latentChannels, latents: normalization, vaeScaleFactor } = this.description.spec
    const encoded = await this.#pictures.meansOf(
      sketchPicture(SKETCH_SIDE, vaeScaleFactor),
      SKETCH_SIDE * vaeScaleFactor,
    )
    const latents =
      encoded === null
        ? sketchLatents(latentChannels, SKETCH_SIDE)
        : normalizeLatents(encoded, latentChannels, normalization)
    const data = denormalizeLatents(latents, latentChannels, normalization)
    const picture = await this.decode(data, [latentChannels, SKETCH_SIDE, SKETCH_SIDE])
    return fitSketch(latents, latentChannels, SKETCH_SIDE, picture)
  }

  /** Frees the graphs; nothing may run on them any more. */
  async release(): Promise<void> {
    for (const part of [this.#denoiser, this.#prompts, this.#pictures, this.#decoder, this.#safety]) {
      await part?.release()
    }
  }
}

/** Rows that a graph declares for its samples; null where they are free. */
function fixedRows(denoiser: Graph, sampleInput: string): number | null {
  const rows = denoiser.inputs.get(sampleInput)?.dims[0]
  return typeof rows === 'number' ? rows : null
}
