import { parentPort, workerData } from 'node:worker_threads'
import { chooseDevice } from '../device/choose-device.ts'
import type { EngineOptions, EngineOrder, EngineReport } from './messages.ts'
import { Model } from './model.ts'
import { Renderer } from './renderer.ts'

/** Owns the onnxruntime sessions: `session.run` blocks its thread, so nothing else lives here. */
const port = parentPort!
const options = workerData as EngineOptions
const report = (message: EngineReport, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer)

async function run(): Promise<void> {
  const device = await chooseDevice(options)
  report({ type: 'ready', device })
  const models = new Map<string, Model>()
  const renderer = new Renderer(models, device.kind, options.maxRows, {
    ticked: (tick) => report({ type: 'tick', tick }),
    rendered: (job, image) => report({ type: 'image', job, image }, [image.rgb.buffer as ArrayBuffer]),
    failed: (job, { code, message }) => report({ type: 'failed', job, code, message }),
    stageTaken: (stage, pin, seconds) => report({ type: 'stage', stage, pin, seconds }),
  })

  const load = async (pin: string, folder: string): Promise<void> => {
    const start = performance.now()
    try {
      models.set(pin, await Model.load(folder, { device: device.kind, deviceOrdinal: options.deviceOrdinal, threads: options.threads }))
      report({ type: 'loaded', pin, seconds: (performance.now() - start) / 1000 })
    } catch (reason) {
      report({ type: 'load-failed', pin, message: reason instanceof Error ? reason.message : String(reason) })
    }
  }
  const obey = async (order: EngineOrder): Promise<void> => {
    if (order.type === 'load') await load(order.pin, order.folder)
    else if (order.type === 'render') renderer.add(order)
    else renderer.drop(order.jobs)
  }

  // Each UNet call gives the event loop one turn, in which orders arrive.
  const orders: EngineOrder[] = []
  let wake = (): void => {}
  port.on('message', (order: EngineOrder) => {
    orders.push(order)
    wake()
  })
  for (;;) {
    for (let order = orders.shift(); order !== undefined; order = orders.shift()) await obey(order)
    if (!renderer.isIdle) await renderer.tick()
    else if (orders.length === 0) await new Promise<void>((resolve) => (wake = resolve))
  }
}

run().catch((reason: unknown) => {
  report({ type: 'unusable', message: reason instanceof Error ? reason.message : String(reason) })
})
