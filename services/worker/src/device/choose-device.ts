import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import type { ChosenDevice, EngineOptions } from '../engine/messages.ts'
import { Graph } from '../engine/sessions.ts'

/** An ONNX model of one Identity node: the cheapest way to ask whether an execution provider works here. */
const PROBE = Buffer.from(
  'CAgSADo7ChAKAXgSAXkiCElkZW50aXR5EgVwcm9iZVoPCgF4EgoKCAgBEgQKAggBYg8KAXkSCgoICAESBAoCCAFCBAoAEA0=',
  'base64',
)

/**
 * The execution provider that was asked for, or for `auto` the first of CUDA and CPU that works.
 * WebGPU only by name: its results depend on the driver.
 * @throws Error when a provider that was asked for by name does not work, with its reason
 */
export async function chooseDevice(options: EngineOptions): Promise<ChosenDevice> {
  if (options.device !== 'auto') {
    const refusal = await refusalOf(options.device, options)
    if (refusal !== null) throw new Error(`device ${options.device} does not work here: ${refusal}`)
    return {
      kind: options.device,
      name: nameOf(options.device, options),
      reason: 'asked for by DARKROOM_WORKER_DEVICE',
    }
  }
  const refusal = await refusalOf('cuda', options)
  if (refusal === null) return { kind: 'cuda', name: nameOf('cuda', options), reason: 'CUDA works here' }
  return {
    kind: 'cpu',
    name: nameOf('cpu', options),
    reason: `CUDA does not work here (${refusal}); WebGPU is used only when asked for`,
  }
}

/** Where onnxruntime-node's install step puts the CUDA provider. Without it the probe would fail too, but noisily. */
function cudaProvider(): string {
  const entry = createRequire(import.meta.url).resolve('onnxruntime-node/package.json')
  return path.join(
    path.dirname(entry),
    'bin',
    'napi-v6',
    process.platform,
    process.arch,
    'libonnxruntime_providers_cuda.so',
  )
}

async function refusalOf(
  device: ChosenDevice['kind'],
  { deviceOrdinal, threads }: EngineOptions,
): Promise<string | null> {
  if (device === 'cuda' && !existsSync(cudaProvider())) return 'libonnxruntime_providers_cuda.so is not installed'
  try {
    const probe = await Graph.load(PROBE, { device, deviceOrdinal, threads })
    await probe.run({ x: { data: [1], dims: [1] } })
    await probe.release()
    return null
  } catch (reason) {
    return (reason instanceof Error ? reason.message : String(reason)).split('\n')[0]!.slice(0, 200)
  }
}

function nameOf(device: ChosenDevice['kind'], { deviceOrdinal }: EngineOptions): string {
  return device === 'cpu' ? (os.cpus()[0]?.model.trim() ?? 'CPU') : `${device}:${deviceOrdinal}`
}
