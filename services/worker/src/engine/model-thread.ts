import type { CheckpointDescription } from '@darkroom/diffusion'
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { DeviceClock } from './device-clock.ts'
import { ModelGraphs } from './model-graphs.ts'
import type { Timed } from './model.ts'
import type { SessionSettings } from './sessions.ts'

/** What a thread is started with. */
export interface ModelThreadData {
  readonly folder: string
  readonly description: CheckpointDescription
  readonly settings: SessionSettings
  /** Of the clock that counts its calls. */
  readonly clockMemory: SharedArrayBuffer
}

/** The methods of the graphs that other threads call, by name with their arguments. */
export type ModelMethod = 'encodePrompt' | 'encodePictures' | 'denoise' | 'decode' | 'flags' | 'fitSketch'
export type ModelCall = {
  readonly [M in ModelMethod]: { readonly method: M; readonly args: Parameters<ModelGraphs[M]> }
}[ModelMethod]

/** To the thread: calls, which it answers in order, and at last null. */
export type ModelOrder = { readonly id: number; readonly call: ModelCall } | null

/** From the thread. */
export type ModelAnswer =
  | { readonly type: 'loaded'; readonly timestepDims: ModelGraphs['timestepDims'] }
  | { readonly type: 'refused'; readonly message: string }
  | ({ readonly type: 'done'; readonly id: number } & Timed<unknown>)
  | { readonly type: 'failed'; readonly id: number; readonly message: string }

/**
 * Owns the onnxruntime sessions of one checkpoint: `session.run` and loading block their thread, so nothing else lives here, and
 * a checkpoint loads while others render.
 */
async function serve({ folder, description, settings, clockMemory }: ModelThreadData): Promise<void> {
  const port = parentPort!
  const clock = new DeviceClock(clockMemory)
  const answer = (message: ModelAnswer, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer)
  let graphs: ModelGraphs
  try {
    graphs = await ModelGraphs.load(folder, description, settings)
  } catch (reason) {
    answer({ type: 'refused', message: messageOf(reason) })
    return port.close()
  }
  answer({ type: 'loaded', timestepDims: graphs.timestepDims })
  let last = Promise.resolve()
  port.on('message', (order: ModelOrder) => {
    last = last.then(async () => {
      if (order === null) {
        await graphs.release()
        return port.close()
      }
      try {
        const timed = await clock.call(() => run(graphs, order.call))
        const { value } = timed
        answer({ type: 'done', id: order.id, ...timed }, value instanceof Float32Array ? [bufferOf(value)] : [])
      } catch (reason) {
        answer({ type: 'failed', id: order.id, message: messageOf(reason) })
      }
    })
  })
}

function run(graphs: ModelGraphs, { method, args }: ModelCall): Promise<unknown> {
  return (graphs[method] as (...args: readonly unknown[]) => Promise<unknown>).apply(graphs, args)
}

function bufferOf({ buffer }: Float32Array): ArrayBuffer {
  return buffer as ArrayBuffer
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason)
}

if (!isMainThread) void serve(workerData as ModelThreadData)
