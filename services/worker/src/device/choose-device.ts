import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import type { ChosenDevice, EngineOptions } from '../engine/messages.ts'
import { Graph } from '../engine/sessions.ts'
import { loadCudaLibraries } from './cuda-libraries.ts'
import { loadLibrary } from './shared-library.ts'

/** An ONNX model of one convolution of one pixel: what asks most of an execution provider, as small as it can be. */
const PROBE = Buffer.from(
  'CAgSADpnCg8KAXgKAXcSAXkiBENvbnYSBXByb2JlKhMIAQgBCAEIARABQgF3SgQAAABAWhsKAXgSFgoUCAESEAoCCAEKAggBCgIIAQoCCAFiGwoB' +
    'eRIWChQIARIQCgIIAQoCCAEKAggBCgIIAUIECgAQDQ==',
  'base64',
)
const REASON_LENGTH = 600

/** What lies outside the process, which tests put elsewhere. */
interface Surroundings {
  readonly cudaProvider: string
  readonly vulkan: string
}

/**
 * The execution provider that was asked for, or for `auto` the first of CUDA and CPU that works.
 * WebGPU only by name: its results depend on the driver.
 * @throws Error when a provider that was asked for by name does not work, with its reason
 */
export async function chooseDevice(
  options: EngineOptions,
  surroundings: Surroundings = { cudaProvider: installedCudaProvider(), vulkan: 'libvulkan.so.1' },
): Promise<ChosenDevice> {
  if (options.device !== 'auto') {
    const refusal = await refusalOf(options.device, options, surroundings)
    if (refusal !== null) throw new Error(`device ${options.device} does not work here: ${refusal}`)
    return {
      kind: options.device,
      name: nameOf(options.device, options),
      reason: 'asked for by DARKROOM_WORKER_DEVICE',
    }
  }
  const refusal = await refusalOf('cuda', options, surroundings)
  if (refusal === null) return { kind: 'cuda', name: nameOf('cuda', options), reason: 'CUDA works here' }
  const webgpu = missingFor('webgpu', options, surroundings)
  return {
    kind: 'cpu',
    name: nameOf('cpu', options),
    reason:
      `CUDA does not work here (${refusal}); WebGPU is used only when asked for` +
      (webgpu === null ? '' : `, and would not work (${webgpu})`),
  }
}

/** Where onnxruntime-node's install step puts the CUDA provider. */
function installedCudaProvider(): string {
  const entry = createRequire(import.meta.url).resolve('onnxruntime-node/package.json')
  const folder = path.join(path.dirname(entry), 'bin', 'napi-v6', process.platform, process.arch)
  return path.join(folder, 'libonnxruntime_providers_cuda.so')
}

async function refusalOf(
  device: ChosenDevice['kind'],
  options: EngineOptions,
  surroundings: Surroundings,
): Promise<string | null> {
  // Without its libraries the probe would fail too, but noisily and without a remedy.
  const missing = missingFor(device, options, surroundings)
  if (missing !== null) return missing
  const { deviceOrdinal, threads } = options
  try {
    const probe = await Graph.load(PROBE, { device, deviceOrdinal, threads })
    await probe.run({ x: { data: [1], dims: [1, 1, 1, 1] } })
    await probe.release()
    return null
  } catch (reason) {
    return shortened(reason)
  }
}

/** What has to be installed first, and how; null where nothing is known to be missing. Loads the libraries that are there. */
function missingFor(
  device: ChosenDevice['kind'],
  { cudaLibraryPath }: EngineOptions,
  { cudaProvider, vulkan }: Surroundings,
): string | null {
  if (device === 'cuda') {
    if (!existsSync(cudaProvider)) {
      return `${path.basename(cudaProvider)} is not installed; npm rebuild onnxruntime-node --onnxruntime-node-install=cuda12 brings it (README, "On a GPU")`
    }
    try {
      return loadCudaLibraries(cudaProvider, { named: cudaLibraryPath })
    } catch (reason) {
      return shortened(reason)
    }
  }
  if (device === 'webgpu' && process.platform === 'linux' && loadLibrary(vulkan) !== null) {
    return `${vulkan} is missing; install Vulkan's loader and the GPU's driver (README, "On a GPU")`
  }
  return null
}

/** The part of a reason that a reader can use: onnxruntime wraps what CUDA says in the signatures of its own functions. */
export function shortened(reason: unknown): string {
  const message = reason instanceof Error ? reason.message : String(reason)
  const ofCuda = /\bCU[A-Z]+ failure -?\d+: [^;\n]*/.exec(message)?.[0].trim()
  return ofCuda ?? message.split('\n')[0]!.slice(0, REASON_LENGTH)
}

function nameOf(device: ChosenDevice['kind'], { deviceOrdinal }: EngineOptions): string {
  return device === 'cpu' ? (os.cpus()[0]?.model.trim() ?? 'CPU') : `${device}:${deviceOrdinal}`
}
