import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { chooseDevice, shortened } from './choose-device.ts'
import { writeSharedLibrary } from './shared-library.harness.ts'

const options = { deviceOrdinal: 0, cudaLibraryPath: [], threads: 1, maxRows: 8, shapes: 'auto' } as const
let folder: string
let nothing: { readonly cudaProvider: string; readonly vulkan: string }

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-device-'))
  nothing = { cudaProvider: path.join(folder, 'libprovider.so'), vulkan: 'libno-vulkan.so.1' }
})
afterAll(() => rmSync(folder, { recursive: true }))

test('without anything for a GPU, auto takes the CPU and says what the others lack', async () => {
  expect(await chooseDevice({ ...options, device: 'auto' }, nothing)).toEqual({
    kind: 'cpu',
    name: expect.any(String),
    reason:
      'CUDA does not work here (libprovider.so is not installed; npm rebuild onnxruntime-node ' +
      '--onnxruntime-node-install=cuda12 brings it (README, "On a GPU")); WebGPU is used only when asked for, and would not ' +
      'work (libno-vulkan.so.1 is missing; install Vulkan\'s loader and the GPU\'s driver (README, "On a GPU"))',
  })
})

test('with the provider alone, auto says which libraries it lacks', async () => {
  const cudaProvider = path.join(folder, 'libneedy.so')
  writeSharedLibrary(cudaProvider, 'libneedy.so', ['libcudart.so.7'])
  const { kind, reason } = await chooseDevice({ ...options, device: 'auto' }, { ...nothing, cudaProvider })
  expect(kind).toBe('cpu')
  expect(reason).toMatch(/^CUDA does not work here \(missing libcudart\.so\.7.*: install CUDA 7/)
})

test('the CPU computes the probe', async () => {
  expect(await chooseDevice({ ...options, device: 'cpu' }, nothing)).toMatchObject({
    kind: 'cpu',
    reason: 'asked for by DARKROOM_WORKER_DEVICE',
  })
})

test.for([
  ['cuda', /^device cuda does not work here: libprovider\.so is not installed; npm rebuild/],
  ['webgpu', /^device webgpu does not work here: libno-vulkan\.so\.1 is missing; install Vulkan's loader/],
] as const)('%s by name is refused with what it lacks', async ([device, message]) => {
  await expect(chooseDevice({ ...options, device }, nothing)).rejects.toThrow(message)
})

test('of what onnxruntime says, the words of CUDA are told', () => {
  const message =
    '/src/cuda_call.cc:146 onnxruntime::CudaCall(ERRTYPE, const char*, int) [with ERRTYPE = cudaError] CUDA failure 101: ' +
    'invalid device ordinal ; GPU=-1 ; hostname=host ; file=/src/cuda_execution_provider.cc ; line=352'
  expect(shortened(new Error(message))).toBe('CUDA failure 101: invalid device ordinal')
  expect(shortened(new Error('no such device\nat line 3'))).toBe('no such device')
})
