import {
  createLane,
  decoderInput,
  inpaintingCrop,
  inputShape,
  pasteBack,
  restoreLane,
  rowsOf,
  scaledLatentImage,
  sketch,
  timestepOf,
  toRgb8,
  writeModelInput,
} from '@darkroom/diffusion'
import type {
  CheckpointDescription,
  Conditioning,
  EncodedInputs,
  Lane,
  LaneState,
  LatentSketch,
  Raster,
  Tensors,
} from '@darkroom/diffusion'
import type { BaseWork, Preview, PreviewRequest, RenderRequest } from './messages.ts'
import type { DenoiserCall } from './model-graphs.ts'
import type { EncodedPrompt } from './prompt-encoders.ts'
import { RecentlyUsed } from './recently-used.ts'
import type { Output } from './sessions.ts'

/** The graphs of a checkpoint as other threads see them; an answer comes with the seconds that it took. */
export interface ModelCalls {
  readonly description: CheckpointDescription
  readonly timestepDims: readonly (number | string)[]
  encodePrompt(turn: Turn, prompt: string, maxSequenceLength: number | undefined): Promise<Timed<EncodedPrompt>>
  encodePictures(turn: Turn, request: RenderRequest): Promise<Timed<EncodedInputs>>
  denoise(call: DenoiserCall): Promise<Timed<Float32Array>>
  decode(turn: Turn, latents: Float32Array, dims: readonly number[]): Promise<Timed<Float32Array>>
  flags(turn: Turn, picture: Raster): Promise<Timed<boolean>>
  fitSketch(): Promise<Timed<LatentSketch>>
}

/** Of what waits for the thread, what somebody waits for comes first. */
export interface Turn {
  readonly isInteractive?: boolean
}

export interface Timed<T> {
  readonly value: T
  /** From its begin to its end. */
  readonly seconds: number
  /** Of these its share of the device, which may compute for another checkpoint at the same time. */
  readonly deviceSeconds: number
}

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

const PROMPTS = 512
/** Encoded pictures: as many as items with several images are under way. */
const PICTURES = 16
/** Lanes whose conditioning is stacked: those of the calls that alternate. */
const STACKS = 4

/** One checkpoint in memory: how a lane's step runs through its graphs. */
export class Model {
  readonly #calls: ModelCalls
  readonly #prompts = new RecentlyUsed<Promise<Timed<EncodedPrompt>>>(PROMPTS)
  readonly #pictures = new RecentlyUsed<Promise<Timed<EncodedInputs>>>(PICTURES)
  readonly #stacks: { readonly rows: readonly Tensors[]; readonly padTo: number; readonly stacked: Stacked }[] = []
  #sketch: Promise<Timed<LatentSketch>> | null = null

  constructor(calls: ModelCalls) {
    this.#calls = calls
  }

  get description(): CheckpointDescription {
    return this.#calls.description
  }

  /** Whether lanes at different timesteps fit one call: exports with a scalar timestep, or a list of one, take one for all. */
  get takesTimestepPerSample(): boolean {
    const { timestepDims: dims } = this.#calls
    return dims.length > 0 && dims[0] !== 1
  }

  /** @param base what it leaves to this refiner */
  async open(request: RenderRequest, base?: Pick<BaseWork, 'latents' | 'generator'>): Promise<Lane> {
    const { value: encoded } = request.image === undefined ? { value: {} } : await this.#encodedPictures(request)
    return createLane(this.description.spec, request, {
      ...encoded,
      ...(base !== undefined && { latents: base.latents, generator: base.generator }),
    })
  }

  resume(request: RenderRequest, state: LaneState): Lane {
    return restoreLane(this.description.spec, request, state)
  }

  /** What the lane's rows are conditioned on. */
  async condition(lane: Lane, turn: RenderRequest): Promise<Conditioned> {
    const { prompt, negativePrompt } = turn
    const { spec, family, request } = lane
    const isZeros = negativePrompt === null && spec.forcesZerosForEmptyPrompt
    const isGuided = rowsOf(lane.spec, lane.request) === 2
    const [positive, negative] = await Promise.all([
      this.#encodedPrompt(turn, prompt, request.maxSequenceLength),
      isGuided && !isZeros ? this.#encodedPrompt(turn, negativePrompt ?? '', request.maxSequenceLength) : null,
    ])
    const conditioning = family.condition(spec, request, positive.value.outputs, negative?.value.outputs ?? null)
    const ofNegative = (negative?.value.warnings ?? []).map((warning) =>
      warning.replace('the prompt', 'the negative prompt'),
    )
    return { conditioning, warnings: [...positive.value.warnings, ...ofNegative] }
  }

  /** A prompt is encoded once, however many lanes ask; so is the negative one that most of them share. */
  #encodedPrompt(turn: Turn, prompt: string, maxSequenceLength: number | undefined): Promise<Timed<EncodedPrompt>> {
    return remembered(this.#prompts, `${maxSequenceLength ?? ''} ${prompt}`, () =>
      this.#calls.encodePrompt(turn, prompt, maxSequenceLength),
    )
  }

  /** The images of one item start from the same pictures. */
  #encodedPictures(request: RenderRequest): Promise<Timed<EncodedInputs>> {
    const { picturesId, task, width, height, strength, paddingMaskCrop } = request
    const encode = (): Promise<Timed<EncodedInputs>> => this.#calls.encodePictures(request, request)
    if (picturesId === undefined) return encode()
    return remembered(
      this.#pictures,
      JSON.stringify([picturesId, task, width, height, strength, paddingMaskCrop]),
      encode,
    )
  }

  /**
   * One call of the denoiser for all lanes.
   * @param conditionings of each lane, in order
   * @param padTo rows of the call, at least those that the lanes take: closed sets of shapes keep GPUs from recompiling
   * @returns the output, [padTo, outputSize] flattened, the lanes' rows first
   */
  predict(lanes: readonly Lane[], conditionings: readonly Conditioning[], padTo: number): Promise<Timed<Float32Array>> {
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
      ...this.#stacked(
        conditionings.flatMap((conditioning) => conditioning.rows),
        padTo,
      ),
    }
    const shared: Record<string, Output> = { ...conditionings[0]!.shared }
    const timestep = this.takesTimestepPerSample ? rows : shared
    timestep['timestep'] = this.takesTimestepPerSample
      ? { data: Float32Array.from(timesteps), dims: [padTo] }
      : { data: Float32Array.of(timesteps[0]!), dims: this.#calls.timestepDims.map(() => 1) }
    return this.#calls.denoise({ rows, shared, count: padTo })
  }

  /** The same lanes share many calls in a row, for which they are stacked once. */
  #stacked(rows: readonly Tensors[], padTo: number): Stacked {
    const known = this.#stacks.find(
      (stack) =>
        stack.padTo === padTo && stack.rows.length === rows.length && rows.every((row, i) => row === stack.rows[i]),
    )
    if (known !== undefined) return known.stacked
    const stacked = stackRows(rows, padTo)
    this.#stacks.unshift({ rows, padTo, stacked })
    this.#stacks.length = Math.min(this.#stacks.length, STACKS)
    return stacked
  }

  /**
   * The finished lane's picture.
   * @throws RangeError where the model put out no number, or black all over
   */
  async finish(lane: Lane, request: RenderRequest): Promise<Timed<DecodedPicture>> {
    const { value: decoded, ...took } = await this.#decode(lane, request)
    if (decoded.data.every((level) => level === 0)) {
      throw new RangeError('the picture came out black all over: the size or precision does not suit this checkpoint.')
    }
    const isFlagged = await this.#isFlagged(decoded, request)
    const picture = framed(isFlagged === true ? blackedOut(decoded) : decoded, request)
    return { value: { picture, isFlagged }, ...took }
  }

  /** What the lane looks like on its way; blacked out where the safety checker flags it. */
  async preview(
    lane: Lane,
    request: RenderRequest,
    mode: PreviewRequest['mode'],
  ): Promise<Pick<Preview, 'picture' | 'width' | 'height'>> {
    const made = mode === 'decode' ? (await this.#decode(lane, request)).value : await this.#sketchOf(lane)
    const shown = (await this.#isFlagged(made, request)) === true ? blackedOut(made) : made
    const picture = framed(shown, request)
    const { width, height } = picture === shown ? request : picture
    return { picture, width, height }
  }

  async #isFlagged(picture: Raster, request: RenderRequest): Promise<boolean | null> {
    if (!this.description.hasSafetyChecker || !request.safetyChecker) return null
    return (await this.#calls.flags(request, picture)).value
  }

  /** What the lane's sample looks like, finished or not. @throws RangeError where it has values that are no numbers */
  async #decode(lane: Lane, turn: Turn): Promise<Timed<Raster>> {
    const { spec, request } = lane
    const { width, height } = request
    const { value: sample, ...took } =
      spec.family === 'unconditional'
        ? { value: lane.latents, seconds: 0, deviceSeconds: 0 }
        : await this.#calls.decode(turn, decoderInput(lane), [
            spec.latentChannels,
            height / spec.vaeScaleFactor,
            width / spec.vaeScaleFactor,
          ])
    if (!isFiniteAll(sample)) {
      throw new RangeError(
        'the model put out NaN or infinity: the prompt, size or precision does not suit this checkpoint.',
      )
    }
    return { value: toRgb8(sample, width, height), ...took }
  }

  /** A sketch of the lane's sample, one pixel for each of the latents': fitted to the checkpoint's own VAE when it is first asked for. */
  async #sketchOf(lane: Lane): Promise<Raster> {
    const { spec, request } = lane
    const latents = scaledLatentImage(lane)
    if (spec.family === 'unconditional') return toRgb8(latents, request.width, request.height)
    this.#sketch ??= this.#calls.fitSketch()
    const { value } = await this.#sketch
    return sketch(value, latents, request.width / spec.vaeScaleFactor, request.height / spec.vaeScaleFactor)
  }
}

function blackedOut(picture: Raster): Raster {
  return { ...picture, data: new Uint8Array(picture.data.length) }
}

/** Where only a part was rendered, the whole picture with it. */
function framed(picture: Raster, request: RenderRequest): Raster {
  const crop = inpaintingCrop(request)
  return crop === null ? picture : pasteBack(request.image!, request.maskImage!, picture, crop)
}

/** Ten times as fast as a callback for each value, of which a picture has a million. */
function isFiniteAll(values: Float32Array): boolean {
  let sum = 0
  // Zero, but for NaN and infinity.
  for (let i = 0; i < values.length; i++) sum += values[i]! - values[i]!
  return sum === 0
}

/** A failure is not remembered. */
function remembered<T>(known: RecentlyUsed<Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const found = known.get(key)
  if (found !== undefined) return found
  const made = make()
  known.set(key, made)
  made.catch(() => known.delete(key))
  return made
}

type Stacked = Readonly<Record<string, Output>>

/** Rows of named tensors as one batch of each name, in memory that threads share; rows of padding stay zero. */
function stackRows(rows: readonly Tensors[], padTo: number): Stacked {
  const stacked = Object.entries(rows[0]!).map(([name, { data: first, dims }]) => {
    const data = new Float32Array(new SharedArrayBuffer(4 * padTo * first.length))
    for (const [i, row] of rows.entries()) data.set(row[name]!.data, i * first.length)
    return [name, { data, dims: [padTo, ...dims] }] as const
  })
  return Object.fromEntries(stacked)
}
