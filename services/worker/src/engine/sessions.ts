import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { ChosenDevice } from './messages.ts'

export interface SessionSettings {
  readonly device: ChosenDevice['kind']
  readonly deviceOrdinal: number
  readonly threads: number
}

interface TensorInput {
  readonly name: string
  readonly type: string
  /** Names where they are free; onnxruntime gives fixed ones as numbers. */
  readonly dims: readonly (number | string)[]
}

interface Feed {
  readonly data: Float32Array | readonly number[]
  readonly dims: readonly number[]
}

/** What a graph puts out, as float32. */
export interface Output {
  readonly data: Float32Array
  readonly dims: readonly number[]
}

/** One ONNX graph: names, ranks and types are read from the file, values are cast to what it declares. */
export class Graph {
  readonly #session: InferenceSession
  readonly inputs: ReadonlyMap<string, TensorInput>
  readonly outputs: readonly string[]

  private constructor(session: InferenceSession) {
    this.#session = session
    this.outputs = session.outputNames
    this.inputs = new Map(
      session.inputMetadata.map((input) => [
        input.name,
        { name: input.name, type: input.isTensor ? input.type : 'none', dims: input.isTensor ? input.shape : [] },
      ]),
    )
  }

  static async load(model: string | Uint8Array, settings: SessionSettings): Promise<Graph> {
    const options: InferenceSession.SessionOptions = {
      executionProviders: [providerOf(settings)],
      graphOptimizationLevel: 'all',
      interOpNumThreads: 1,
      intraOpNumThreads: settings.threads,
      // Spinning threads take the core from the rest of the worker.
      extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
    }
    const session =
      typeof model === 'string'
        ? await InferenceSession.create(model, options)
        : await InferenceSession.create(model, options)
    return new Graph(session)
  }

  /**
   * Runs the graph; blocks this thread.
   * @param feeds by input; what the graph does not declare is left out, but for the first: that is the graph's first input's
   * @param names the outputs that are wanted; by default the first
   */
  async run(
    feeds: Readonly<Record<string, Feed>>,
    names: readonly string[] = this.outputs.slice(0, 1),
  ): Promise<Readonly<Record<string, Output>>> {
    const missing = names.find((name) => !this.outputs.includes(name))
    if (missing !== undefined) {
      throw new RangeError(
        `the graph has no output ${missing}; want an export with it (it has ${this.outputs.join(', ')}).`,
      )
    }
    const tensors = Object.entries(feeds).flatMap(([name, { data, dims }], position) => {
      const input = this.inputs.get(name) ?? (position === 0 ? this.#firstUnfed(feeds) : undefined)
      return input === undefined ? [] : [[input.name, tensorOf(input.type, data, withBatchAxis(input, dims))] as const]
    })
    const results = await this.#session.run(Object.fromEntries(tensors), [...names])
    return Object.fromEntries(
      names.map((name) => [name, { data: toFloat32(results[name]!), dims: results[name]!.dims }]),
    )
  }

  #firstUnfed(feeds: Readonly<Record<string, Feed>>): TensorInput | undefined {
    const [first] = this.inputs.values()
    return first === undefined || Object.hasOwn(feeds, first.name) ? undefined : first
  }

  /** As `run`, for the one output that matters. */
  async runOne(feeds: Readonly<Record<string, Feed>>, name = this.outputs[0]!): Promise<Float32Array> {
    return (await this.run(feeds, [name]))[name]!.data
  }

  async release(): Promise<void> {
    await this.#session.release()
  }
}

function providerOf({ device, deviceOrdinal }: SessionSettings): InferenceSession.ExecutionProviderConfig {
  return device === 'cuda' ? { name: 'cuda', deviceId: deviceOrdinal } : device
}

/** What all rows share has no batch axis; exports of Flux before diffusers 0.31 declare one for the ids of text and picture. */
function withBatchAxis({ dims: declared }: TensorInput, dims: readonly number[]): readonly number[] {
  return declared.length === dims.length + 1 ? [1, ...dims] : dims
}

function tensorOf(type: string, data: Float32Array | readonly number[], dims: readonly number[]): Tensor {
  switch (type) {
    case 'int64':
      // Exports with integer timesteps cut a fractional one, as Optimum's pipelines do.
      return new Tensor(
        'int64',
        BigInt64Array.from(data, (value) => BigInt(Math.trunc(value))),
        dims,
      )
    case 'int32':
      return new Tensor('int32', Int32Array.from(data), dims)
    case 'float64':
      return new Tensor('float64', Float64Array.from(data), dims)
    case 'float16':
      return float16Tensor(data, dims)
    default:
      return new Tensor('float32', data instanceof Float32Array ? data : Float32Array.from(data), dims)
  }
}

/** onnxruntime-node 1.30's Tensor refuses float16 data where Float16Array exists (Node 24); a plain object passes. */
function float16Tensor(data: Float32Array | readonly number[], dims: readonly number[]): Tensor {
  const half = Float16Array.from(data)
  const bits = new Uint16Array(half.buffer, half.byteOffset, half.length)
  return { type: 'float16', data: bits, dims, location: 'cpu' } as unknown as Tensor
}

function toFloat32(tensor: Tensor): Float32Array {
  if (tensor.data instanceof Float32Array) return tensor.data
  if (tensor.type === 'float16') {
    const { data } = tensor as unknown as { data: Float16Array | Uint16Array }
    return data instanceof Uint16Array
      ? Float32Array.from(new Float16Array(data.buffer, data.byteOffset, data.length))
      : Float32Array.from(data)
  }
  if (tensor.data instanceof Float64Array) return Float32Array.from(tensor.data)
  if (tensor.type === 'bool') return Float32Array.from(tensor.data as Uint8Array)
  throw new TypeError(`the graph's output is ${tensor.type}; want a float type`)
}
