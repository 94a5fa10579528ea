import { parentPort, workerData } from 'node:worker_threads'
import { chooseDevice } from '../device/choose-device.ts'
import type {
  ChosenDevice,
  EngineOptions,
  EngineOrder,
  EngineReport,
  EngineSettings,
  EngineThreadData,
} from './messages.ts'
import { ModelClient } from './model-client.ts'
import { Model } from './model.ts'
import { Renderer } from './renderer.ts'

/** Owns the lanes: their steps would hold up heartbeats in the worker's main thread, and the device in a model's. */
const port = parentPort!
const { clockMemory, ...options } = workerData as EngineThreadData
const report = (message: EngineReport, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer)

async function run(): Promise<void> {
  const device = await chooseDevice(options)
  const engine = settle(device, options)
  report({ type: 'ready', settings: engine })
  const models = new Map<string, Model>()
  const clients = new Map<string, ModelClient>()
  const stageTaken = (stage: Extract<EngineReport, { type: 'stage' }>['stage'], seconds: number): void =>
    report({ type: 'stage', stage, seconds })
  const renderer = new Renderer(models, engine, {
    ticked: (tick) => report({ type: 'tick', tick }),
    rendered: (job, image) => report({ type: 'image', job, image }, [image.picture.data.buffer as ArrayBuffer]),
    previewed: (job, preview) =>
      report({ type: 'preview', job, preview }, [preview.picture.data.buffer as ArrayBuffer]),
    failed: (job, message, deviceSeconds) => report({ type: 'failed', job, message, deviceSeconds }),
    stageTaken,
  })

  const settings = { device: device.kind, deviceOrdinal: options.deviceOrdinal, threads: options.threads }
  const load = async ({ pin, folder, description }: Extract<EngineOrder, { type: 'load' }>): Promise<void> => {
    try {
      const client = await ModelClient.start({ folder, description, settings, clockMemory }, stageTaken)
      clients.set(pin, client)
      const model = new Model(client)
      await renderer.warmUp(pin, model)
      models.set(pin, model)
      report({ type: 'loaded', pin })
    } catch (reason) {
      report({ type: 'load-failed', pin, message: reason instanceof Error ? reason.message : String(reason) })
    }
  }
  const unload = async (pin: string): Promise<void> => {
    const client = clients.get(pin)
    models.delete(pin)
    clients.delete(pin)
    renderer.forget(pin)
    await client?.stop()
  }
  // Sessions are made and freed one after the other: side by side some devices fail.
  let changing = Promise.resolve()
  const change = (action: () => Promise<void>): void => {
    changing = changing.then(action)
  }

  port.on('message', (order: EngineOrder) => {
    switch (order.type) {
      case 'load':
        return change(() => load(order))
      case 'unload':
        // Nobody may begin with it from now on, also while others are being loaded or freed.
        models.delete(order.pin)
        return change(() => unload(order.pin))
      case 'render':
        return renderer.add(order)
      case 'drop':
        return renderer.drop(order.jobs)
      case 'snapshot':
        return report({ type: 'snapshot', id: order.id, states: renderer.snapshot(order.jobs) })
      case 'stop':
        return change(async () => {
          for (const pin of clients.keys()) await unload(pin)
          port.close()
        })
    }
  })
}

const MOST_ROWS = { cpu: 8, gpu: 32 }

/**
 * The CPU gives a row the same result in any company (`npm run bench -- identity`). GPUs pick their kernels by the number of rows,
 * and of some convolutions the result depends on the row's place (`npm run bench -- gpu`).
 */
function settle(device: ChosenDevice, { maxRows, shapes: asked }: EngineOptions): EngineSettings {
  const isCpu = device.kind === 'cpu'
  const shapes = asked === 'auto' ? (isCpu ? 'any' : 'closed') : asked
  return {
    device,
    maxRows: maxRows ?? MOST_ROWS[isCpu ? 'cpu' : 'gpu'],
    shapes,
    determinism: isCpu || shapes === 'single' ? 'request' : 'request-and-batch',
  }
}

run().catch((reason: unknown) => {
  report({ type: 'unusable', message: reason instanceof Error ? reason.message : String(reason) })
})
