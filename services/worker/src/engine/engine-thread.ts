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
    rendered: (job, image) => report({ type: 'image', job, image }, [image.picture.data.buffer as ArrayBuffer]),
    previewed: (job, preview) =>
      report({ type: 'preview', job, preview }, [preview.picture.data.buffer as ArrayBuffer]),
    failed: (job, { code, message }) => report({ type: 'failed', job, code, message }),
    stageTaken: (stage, seconds) => report({ type: 'stage', stage, seconds }),
  })

  const settings = { device: device.kind, deviceOrdinal: options.deviceOrdinal, threads: options.threads }
  const load = async (pin: string, folder: string): Promise<void> => {
    try {
      models.set(pin, await Model.load(folder, settings))
      report({ type: 'loaded', pin })
    } catch (reason) {
      report({ type: 'load-failed', pin, message: reason instanceof Error ? reason.message : String(reason) })
    }
  }
  let isStopping = false
  const obey = async (order: EngineOrder): Promise<void> => {
    switch (order.type) {
      case 'load':
        return load(order.pin, order.folder)
      case 'unload':
        await models.get(order.pin)?.release()
        models.delete(order.pin)
        return
      case 'render':
        return renderer.add(order)
      case 'drop':
        return renderer.drop(order.jobs)
      case 'snapshot':
        return report({ type: 'snapshot', id: order.id, states: renderer.snapshot(order.jobs) })
      case 'stop':
        isStopping = true
    }
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
    if (isStopping) break
    if (!renderer.isIdle) await renderer.tick()
    else if (orders.length === 0) await new Promise<void>((resolve) => (wake = resolve))
  }
  for (const model of models.values()) await model.release()
  port.close()
}

run().catch((reason: unknown) => {
  report({ type: 'unusable', message: reason instanceof Error ? reason.message : String(reason) })
})
