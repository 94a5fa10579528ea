import {
  createLane,
  decoderInput,
  denormalizeLatents,
  FAMILIES,
  fitSketch,
  inpaintingCrop,
  inputShape,
  pasteBack,
  restoreLane,
  rowsOf,
  scaledLatentImage,
  sketch,
  sketchLatents,
  timestepOf,
  toRgb8,
  writeModelInput,
} from '@darkroom/diffusion'
import type {
  CheckpointDescription,
  Conditioning,
  Lane,
  LaneState,
  LatentSketch,
  Raster,
  Tensors,
} from '@darkroom/diffusion'
import path from 'node:path'
import { describeFolder } from './describe-folder.ts'
import type { BaseWork, PreviewRequest, RenderRequest } from './messages.ts'
import { PictureEncoder } from './picture-encoder.ts'
import { PromptEncoders } from './prompt-encoders.ts'
import { SafetyChecker } from './safety-checker.ts'
import { Graph } from './sessions.ts'
import type { Output, SessionSettings } from './sessions.ts'

const TRACED_ROWS = 2
/** Latent pixels of the picture that a sketch is fitted to. */
const SKETCH_SIDE = 32

/** What a lane of this model is conditioned on, and what its caller should know of it. */
export interface Conditioned {
  readonly conditioning: Conditioning
  readonly warnings: readonly string[]
}

export interface DecodedPicture {
  readonly picture: Raster
  /** Whether the safety checker blacked it out; null where there was none. */
  readonly isFlagged: boolean | null
}

/** One checkpoint in memory: its graphs, its tokenizers, and how a lane's step runs through them. */
export class Model {
  readonly description: CheckpointDescription
  readonly #denoiser: Graph
  readonly #prompts: PromptEncoders
  readonly #pictures: PictureEncoder
  readonly #decoder: Graph | null
  readonly #safety: SafetyChecker | null
  #sketch: LatentSketch | null = null
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
    this.#denoiser = graphs.denoiser
    this.#prompts = graphs.prompts
    this.#pictures = graphs.pictures
    this.#decoder = graphs.decoder
    this.#safety = graphs.safety
  }

  /** @param folder a verified checkpoint in the diffusers layout, exported to ONNX */
  static async load(folder: string, settings: SessionSettings): Promise<Model> {
    const description = describeFolder(folder)
    const { spec, textEncoders, hasSafetyChecker } = description
    const graph = (name: string): Promise<Graph> => Graph.load(path.join(folder, name, 'model.onnx'), settings)
    return new Model(description, {
      denoiser: await graph(FAMILIES[spec.family].denoiser),
      prompts: await PromptEncoders.load(folder, textEncoders, settings),
      pictures: new PictureEncoder(folder, spec, settings),
      decoder: spec.family === 'unconditional' ? null : await graph('vae_decoder'),
      safety: hasSafetyChecker ? await SafetyChecker.load(folder, settings) : null,
    })
  }

  /** Whether lanes at different timesteps fit one call: exports with a scalar timestep, or a list of one, take one for all. */
  get takesTimestepPerSample(): boolean {
    const { dims } = this.#denoiser.inputs.get('timestep')!
    return dims.length > 0 && dims[0] !== 1
  }

  /** @param base what it leaves to this refiner */
  async open(request: RenderRequest, base?: Pick<BaseWork, 'latents' | 'generator'>): Promise<Lane> {
    const encoded = await this.#pictures.encode(request)
    return createLane(this.description.spec, request, {
      ...encoded,
      ...(base !== undefined && { latents: base.latents, generator: base.generator }),
    })
  }

  resume(request: RenderRequest, state: LaneState): Lane {
    return restoreLane(this.description.spec, request, state)
  }

  /** What the lane's rows are conditioned on. */
  async condition(lane: Lane, { prompt, negativePrompt }: RenderRequest): Promise<Conditioned> {
    const { spec, family, request } = lane
    const positive = await this.#prompts.encode(prompt, request)
    const isZeros = negativePrompt === null && spec.forcesZerosForEmptyPrompt
    const negative =
      rowsOf(lane.spec, lane.request) === 2 && !isZeros
        ? await this.#prompts.encode(negativePrompt ?? '', request)
        : null
    const conditioning = family.condition(spec, request, positive.outputs, negative?.outputs ?? null)
    return { conditioning, warnings: positive.warnings }
  }

  /**
   * One call of the denoiser for all lanes.
   * @param conditionings of each lane, in order
   * @param padTo rows of the call, at least those that the lanes take: closed sets of shapes keep GPUs from recompiling
   * @returns the output, [padTo, outputSize] flattened, the lanes' rows first
   */
  async predict(lanes: readonly Lane[], conditionings: readonly Conditioning[], padTo: number): Promise<Float32Array> {
    const first = lanes[0]!
    const dims = inputShape(first)
    const size = dims.reduce((a, b) => a * b, 1)
    const sample = new Float32Array(padTo * size)
    const timesteps: number[] = []
    for (const lane of lanes) {
      writeModelInput(lane, sample, timesteps.length * size)
      for (let r = 0; r < rowsOf(lane.spec, lane.request); r++) timesteps.push(timestepOf(lane))
    }
    while (timesteps.length < padTo) timesteps.push(timesteps[0]!)
    const rows: Record<string, Output> = {
      [first.family.sampleInput]: { data: sample, dims: [padTo, ...dims] },
      ...stackRows(
        conditionings.flatMap((conditioning) => conditioning.rows),
        padTo,
      ),
    }
    const shared: Record<string, Output> = { ...conditionings[0]!.shared }
    const timestep = this.takesTimestepPerSample ? rows : shared
    timestep['timestep'] = this.takesTimestepPerSample
      ? { data: Float32Array.from(timesteps), dims: [padTo] }
      : { data: Float32Array.of(timesteps[0]!), dims: this.#denoiser.inputs.get('timestep')!.dims.map(() => 1) }
    return this.#denoise(rows, shared, padTo)
  }

  /**
   * Exporters trace a model with a batch of two (Optimum's default), and some graphs keep that number for ever: where a call
   * fails whose rows are not two, it is tried in pairs, and if that works so is every later call.
   */
  async #denoise(
    rows: Readonly<Record<string, Output>>,
    shared: Readonly<Record<string, Output>>,
    count: number,
  ): Promise<Float32Array> {
    if (!this.#callsInPairs) {
      try {
        return await this.#denoiser.runOne({ ...rows, ...shared })
      } catch (reason) {
        if (count === TRACED_ROWS) throw reason
        const output = await this.#denoiseInPairs(rows, shared, count).catch(() => null)
        if (output === null) throw reason
        this.#callsInPairs = true
        return output
      }
    }
    return this.#denoiseInPairs(rows, shared, count)
  }

  async #denoiseInPairs(
    rows: Readonly<Record<string, Output>>,
    shared: Readonly<Record<string, Output>>,
    count: number,
  ): Promise<Float32Array> {
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

  /**
   * The finished lane's picture.
   * @throws RangeError where the model put out no number, or black all over
   */
  async finish(lane: Lane, request: RenderRequest): Promise<DecodedPicture> {
    const decoded = await this.decode(lane)
    if (decoded.data.every((level) => level === 0)) {
      throw new RangeError('the picture came out black all over: the size or precision does not suit this checkpoint.')
    }
    const isFlagged = await this.#isFlagged(decoded, request)
    const picture = isFlagged === true ? blackedOut(decoded) : decoded
    const crop = inpaintingCrop(request)
    if (crop === null) return { picture, isFlagged }
    return { picture: pasteBack(request.image!, request.maskImage!, picture, crop), isFlagged }
  }

  /** What the lane looks like on its way; blacked out where the safety checker flags it. */
  async preview(lane: Lane, request: RenderRequest, mode: PreviewRequest['mode']): Promise<Raster> {
    const picture = mode === 'decode' ? await this.decode(lane) : await this.#sketchOf(lane)
    return (await this.#isFlagged(picture, request)) === true ? blackedOut(picture) : picture
  }

  async #isFlagged(picture: Raster, { safetyChecker }: RenderRequest): Promise<boolean | null> {
    return this.#safety === null || !safetyChecker ? null : this.#safety.flags(picture)
  }

  /** What the lane's sample looks like, finished or not. @throws RangeError where it has values that are no numbers */
  async decode(lane: Lane): Promise<Raster> {
    const { width, height } = lane.request
    const sample = this.#decoder === null ? lane.latents : await this.#decodeLatents(this.#decoder, lane)
    if (!sample.every(Number.isFinite)) {
      throw new RangeError(
        'the model put out NaN or infinity: the prompt, size or precision does not suit this checkpoint.',
      )
    }
    return toRgb8(sample, width, height)
  }

  /** A sketch of the lane's sample, one pixel for each of the latents': fitted to the checkpoint's own decoder when it is first asked for. */
  async #sketchOf(lane: Lane): Promise<Raster> {
    const { spec, request } = lane
    const latents = scaledLatentImage(lane)
    if (this.#decoder === null) return toRgb8(latents, request.width, request.height)
    this.#sketch ??= await this.#fitSketch(this.#decoder)
    return sketch(this.#sketch, latents, request.width / spec.vaeScaleFactor, request.height / spec.vaeScaleFactor)
  }

  async #fitSketch(decoder: Graph): Promise<LatentSketch> {
    const { latentChannels, latents: normalization } = this.description.spec
    const latents = sketchLatents(latentChannels, SKETCH_SIDE)
    const data = denormalizeLatents(latents, latentChannels, normalization)
    const picture = await decoder.runOne({
      latent_sample: { data, dims: [1, latentChannels, SKETCH_SIDE, SKETCH_SIDE] },
    })
    return fitSketch(latents, latentChannels, SKETCH_SIDE, picture)
  }

  async #decodeLatents(decoder: Graph, lane: Lane): Promise<Float32Array> {
    const { spec, request } = lane
    const dims = [1, spec.latentChannels, request.height / spec.vaeScaleFactor, request.width / spec.vaeScaleFactor]
    return decoder.runOne({ latent_sample: { data: decoderInput(lane), dims } })
  }

  /** Frees the graphs; nothing may run on them any more. */
  async release(): Promise<void> {
    for (const part of [this.#denoiser, this.#prompts, this.#pictures, this.#decoder, this.#safety]) {
      await part?.release()
    }
  }
}

function blackedOut(picture: Raster): Raster {
  return { ...picture, data: new Uint8Array(picture.data.length) }
}

/** Rows of named tensors as one batch of each name; rows of padding stay zero. */
function stackRows(rows: readonly Tensors[], padTo: number): Record<string, Output> {
  const stacked = Object.entries(rows[0]!).map(([name, { data: first, dims }]) => {
    const data = new Float32Array(padTo * first.length)
    for (const [i, row] of rows.entries()) data.set(row[name]!.data, i * first.length)
    return [name, { data, dims: [padTo, ...dims] }] as const
  })
  return Object.fromEntries(stacked)
}
