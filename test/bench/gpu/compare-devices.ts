import { Engine } from '../../../services/worker/src/engine/engine.ts'
import { usualRequest } from '../../../services/worker/src/engine/job.ts'
import { describeFolder } from '../../../services/worker/src/engine/describe-folder.ts'
import type { EngineOptions, RenderRequest } from '../../../services/worker/src/engine/messages.ts'

const PROMPTS = ['a red apple', 'a cat face', 'a slice of pizza', 'a yellow star']
const STEPS = 20

/** How far pictures of a device are from those of the CPU, in levels of 0 to 255. */
export interface LevelsApart {
  readonly mean: number
  readonly most: number
}

/**
 * The same pictures on the CPU and on a device.
 * @param onDevice the same checkpoint as it is for the device
 */
export async function compareDevices(onCpu: string, onDevice: string, options: EngineOptions): Promise<LevelsApart> {
  const want = await pictures(onCpu, { ...options, device: 'cpu', shapes: 'auto', maxRows: null })
  const got = await pictures(onDevice, options)
  const apart = want.flatMap((picture, i) => Array.from(picture, (level, k) => Math.abs(level - got[i]![k]!)))
  return { mean: apart.reduce((a, b) => a + b) / apart.length, most: apart.reduce((a, b) => Math.max(a, b)) }
}

/** Whether a device renders the same bytes alone, in company, and alone again. */
export async function rendersAlike(folder: string, options: EngineOptions, steps: number): Promise<boolean> {
  await using engine = await start(options)
  await engine.load('pin', folder)
  const request = requestOf(folder)
  const render = async (seed: number): Promise<Uint8Array> => {
    const one = { ...request, prompt: PROMPTS[0]!, numInferenceSteps: steps, seed }
    return (await engine.render('pin', one, new AbortController().signal)).picture.data
  }
  const alone = await render(0)
  const inCompany = await Promise.all([1, 2, 0, 3].map(render))
  return Buffer.compare(alone, inCompany[2]!) === 0 && Buffer.compare(alone, await render(0)) === 0
}

async function pictures(folder: string, options: EngineOptions): Promise<readonly Uint8Array[]> {
  await using engine = await start(options)
  await engine.load('pin', folder)
  const request = requestOf(folder)
  const render = async (prompt: string, seed: number): Promise<Uint8Array> =>
    (await engine.render('pin', { ...request, prompt, seed, numInferenceSteps: STEPS }, new AbortController().signal))
      .picture.data
  return await Promise.all(PROMPTS.map(render))
}

function requestOf(folder: string): RenderRequest {
  return { ...usualRequest(describeFolder(folder)), scheduler: 'EulerDiscreteScheduler', guidanceScale: 5 }
}

function start(options: EngineOptions): Promise<Engine> {
  const died = (reason: Error): void => {
    throw reason
  }
  return Engine.start(options, { ticked() {}, stageTaken() {}, died })
}
