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
  readonly rank: number
}

interface Feed {
  readonly data: Float32Array | readonly number[]
  readonly dims: readonly number[]
}

/** One ONNX graph: names, ranks and types are read from the file, values are cast to what it declares. */
export class Graph {
  readonly #session: InferenceSession
  readonly inputs: ReadonlyMap<string, TensorInput>

  private constructor(session: InferenceSession) {
    this.#session = session
    this.inputs = new Map(
      session.inputMetadata.map((input) => [
        input.name,
        { name: input.name, type: input.isTensor ? input.type : 'none', rank: input.isTensor ? input.shape.length : 0 },
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
   * @param output by default the graph's first
   * @returns the output as float32
   */
  async run(feeds: Readonly<Record<string, Feed>>, output = this.#session.outputNames[0]!): Promise<Float32Array> {
    const tensors = Object.fromEntries(
      Object.entries(feeds).map(([name, { data, dims }]) => [
        name,
        tensorOf(this.inputs.get(name)?.type ?? 'float32', data, dims),
      ]),
    )
    const results = await this.#session.run(tensors, [output])
    return toFloat32(results[output]!)
  }

  async release(): Promise<void> {
    await this.#session.release()
  }
}

function providerOf({ device, deviceOrdinal }: SessionSettings): InferenceSession.ExecutionProviderConfig {
  return device === 'cuda' ? { name: 'cuda', deviceId: deviceOrdinal } : device
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
  throw new TypeError(`the graph's output is ${tensor.type}; want float32 or float16`)
}
