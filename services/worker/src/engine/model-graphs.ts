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
import { describeFolder } from './describe-folder.ts'
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
  #callsInPairs = false

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
    this.#denoiser = graphs.denoiser
    this.#prompts = graphs.prompts
    this.#pictures = graphs.pictures
    this.#decoder = graphs.decoder
    this.#safety = graphs.safety
  }

  /** @param folder a verified checkpoint in the diffusers layout, exported to ONNX */
  static async load(folder: string, settings: SessionSettings): Promise<ModelGraphs> {
    const description = describeFolder(folder)
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
   * Exporters trace a model with a batch of two (Optimum's default), and some graphs keep that number for ever: where a call
   * fails whose rows are not two, it is tried in pairs, and if that works so is every later call.
   * @returns the output, [count, outputSize] flattened
   */
  async denoise({ rows, shared, count }: DenoiserCall): Promise<Float32Array> {
    if (!this.#callsInPairs) {
      try {
        return await this.#denoiser.runOne({ ...rows, ...shared })
      } catch (reason) {
        if (count === TRACED_ROWS) throw reason
        const output = await this.#denoiseInPairs({ rows, shared, count }).catch(() => null)
        if (output === null) throw reason
        this.#callsInPairs = true
        return output
      }
    }
    return this.#denoiseInPairs({ rows, shared, count })
  }

  async #denoiseInPairs({ rows, shared, count }: DenoiserCall): Promise<Float32Array> {
    const parts: Float32Array[] = []
    for (let from = 0; from < count; from += TRACED_ROWS) {
      const pair = Object.entries(rows).map(([name, { data, dims }]) => {
        const size = data.length / count
        const padded = new Float32Array(TRACED_ROWS * size)
        padded.set(data.subarray(from * size, (from + TRACED_ROWS) * size))
        return [name, { data: padded, dims: [TRACED_ROWS, ...dims.slice(1)] }] as const
      })
      parts.push(await this.#denoiser.runOne({ ...Object.fromEntries(pair), ...shared }))
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
