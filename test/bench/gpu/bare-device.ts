import { rowsOf } from '@darkroom/diffusion'
import { describeFolder } from '../../../services/worker/src/engine/describe-folder.ts'
import type { EngineSettings, RenderRequest } from '../../../services/worker/src/engine/messages.ts'
import type { ModelCalls, Timed } from '../../../services/worker/src/engine/model.ts'
import { Model } from '../../../services/worker/src/engine/model.ts'
import { ModelGraphs } from '../../../services/worker/src/engine/model-graphs.ts'
import { denoiseTogether } from '../denoise-together.ts'

export interface BareDevice extends AsyncDisposable {
  /** @returns seconds */
  render(requests: readonly RenderRequest[], rows: number): Promise<number>
}

/** The graphs in this thread, called one after the other: no queue, no threads, no PNG. */
export async function startBareDevice(folder: string, { device }: EngineSettings): Promise<BareDevice> {
  const settings = { device: device.kind, deviceOrdinal: 0, threads: 1 }
  const graphs = await ModelGraphs.load(folder, describeFolder(folder), settings)
  const model = new Model(callsOf(graphs))
  return {
    async render(requests, rows) {
      await batchOf(model, requests.slice(0, 1), rows)
      const start = performance.now()
      const perBatch = Math.max(1, Math.floor(rows / rowsOf(model.description.spec, requests[0]!)))
      for (let from = 0; from < requests.length; from += perBatch) {
        await batchOf(model, requests.slice(from, from + perBatch), rows)
      }
      return (performance.now() - start) / 1000
    },
    [Symbol.asyncDispose]: () => graphs.release(),
  }
}

async function batchOf(model: Model, requests: readonly RenderRequest[], rows: number): Promise<void> {
  for (const { lane, request } of await denoiseTogether(model, requests, rows)) await model.finish(lane, request)
}

function callsOf(graphs: ModelGraphs): ModelCalls {
  const timed = async <T>(value: Promise<T>): Promise<Timed<T>> => ({
    value: await value,
    seconds: 0,
    deviceSeconds: 0,
  })
  return {
    description: graphs.description,
    timestepDims: graphs.timestepDims,
    encodePrompt: (_turn, prompt, length) => timed(graphs.encodePrompt(prompt, length)),
    encodePictures: (_turn, request) => timed(graphs.encodePictures(request)),
    denoise: (call) => timed(graphs.denoise(call)),
    decode: (_turn, latents, dims) => timed(graphs.decode(latents, dims)),
    flags: (_turn, picture) => timed(graphs.flags(picture)),
    fitSketch: () => timed(graphs.fitSketch()),
  }
}
