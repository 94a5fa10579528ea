import { Limit } from '@darkroom/chassis/limit'
import type { CheckpointDescription } from '@darkroom/diffusion'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { EngineStage } from './messages.ts'
import type { ModelCalls, Timed, Turn } from './model.ts'
import type { DenoiserCall, ModelGraphs } from './model-graphs.ts'
import type { ModelAnswer, ModelCall, ModelMethod, ModelOrder, ModelThreadData } from './model-thread.ts'

type Args<M extends ModelMethod> = Parameters<ModelGraphs[M]>
type Value<M extends ModelMethod> = Awaited<ReturnType<ModelGraphs[M]>>

interface Waiting {
  resolve(answer: Timed<unknown>): void
  reject(reason: Error): void
}

/** Stages by the calls that make them. */
const STAGES: Readonly<Partial<Record<ModelMethod, EngineStage>>> = {
  encodePrompt: 'text_encode',
  encodePictures: 'vae_encode',
  decode: 'vae_decode',
}

/** Calls under way that are not the denoiser's: the thread has the next while what came of the last is seen to. */
const BESIDES = 2

/**
 * A model thread as the lanes' thread sees it. Of the calls that are not the denoiser's few are under way, so that lanes that end
 * together, or many new prompts, hold the others up by no more than those between two steps. What somebody waits for is next.
 */
export class ModelClient implements ModelCalls {
  readonly description: CheckpointDescription
  readonly timestepDims: ModelGraphs['timestepDims']
  readonly #thread: Worker
  readonly #waiting = new Map<number, Waiting>()
  readonly #onStage: (stage: EngineStage, seconds: number) => void
  readonly #besides = new Limit(BESIDES)
  #nextId = 1

  private constructor(
    thread: Worker,
    description: CheckpointDescription,
    timestepDims: ModelGraphs['timestepDims'],
    onStage: (stage: EngineStage, seconds: number) => void,
  ) {
    this.#thread = thread
    this.description = description
    this.timestepDims = timestepDims
    this.#onStage = onStage
    thread.on('message', (answer: ModelAnswer) => this.#receive(answer))
  }

  /** Loads a checkpoint in a thread of its own. @throws Error for one that cannot be loaded */
  static async start(
    data: ModelThreadData,
    onStage: (stage: EngineStage, seconds: number) => void,
  ): Promise<ModelClient> {
    const thread = new Worker(new URL('model-thread.ts', import.meta.url), { workerData: data })
    const [answer] = (await once(thread, 'message')) as [ModelAnswer]
    if (answer.type !== 'loaded')
      throw new Error(answer.type === 'refused' ? answer.message : 'the model thread did not load')
    return new ModelClient(thread, data.description, answer.timestepDims, onStage)
  }

  /** @param call what is not shared of its rows goes to the thread, and is gone here */
  denoise(call: DenoiserCall): Promise<Timed<Value<'denoise'>>> {
    const own = Object.values(call.rows).flatMap(({ data: { buffer } }) =>
      buffer instanceof ArrayBuffer ? [buffer] : [],
    )
    return this.#call('denoise', [call], own)
  }

  encodePrompt(turn: Turn, ...args: Args<'encodePrompt'>): Promise<Timed<Value<'encodePrompt'>>> {
    return this.#callBesides(turn, 'encodePrompt', args)
  }

  encodePictures(turn: Turn, ...args: Args<'encodePictures'>): Promise<Timed<Value<'encodePictures'>>> {
    return this.#callBesides(turn, 'encodePictures', args)
  }

  decode(turn: Turn, ...args: Args<'decode'>): Promise<Timed<Value<'decode'>>> {
    return this.#callBesides(turn, 'decode', args)
  }

  flags(turn: Turn, ...args: Args<'flags'>): Promise<Timed<Value<'flags'>>> {
    return this.#callBesides(turn, 'flags', args)
  }

  fitSketch(): Promise<Timed<Value<'fitSketch'>>> {
    return this.#callBesides({}, 'fitSketch', [])
  }

  /** Frees the graphs and ends the thread; to terminate it inside onnxruntime would abort the whole process. */
  async stop(): Promise<void> {
    const ended = once(this.#thread, 'exit')
    this.#order(null)
    await ended
  }

  #callBesides<M extends ModelMethod>({ isInteractive }: Turn, method: M, args: Args<M>): Promise<Timed<Value<M>>> {
    return this.#besides.run(() => this.#call(method, args), isInteractive)
  }

  #call<M extends ModelMethod>(method: M, args: Args<M>, transfer: ArrayBuffer[] = []): Promise<Timed<Value<M>>> {
    const id = this.#nextId++
    return new Promise<Timed<Value<M>>>((resolve, reject) => {
      const answered = (answer: Timed<unknown>): void => {
        const stage = STAGES[method]
        if (stage !== undefined) this.#onStage(stage, answer.seconds)
        resolve(answer as Timed<Value<M>>)
      }
      this.#waiting.set(id, { resolve: answered, reject })
      this.#order({ id, call: { method, args } as unknown as ModelCall }, transfer)
    })
  }

  #order(order: ModelOrder, transfer: ArrayBuffer[] = []): void {
    this.#thread.postMessage(order, transfer)
  }

  #receive(answer: ModelAnswer): void {
    if (answer.type !== 'done' && answer.type !== 'failed') return
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if (answer.type === 'done') waiting?.resolve(answer)
    else waiting?.reject(new Error(answer.message))
  }
}
