import os from 'node:os'

// Beside the four threads that libuv has for files and names, one for each picture that is encoded or decoded at once. libuv
// looks when its pool starts, and what the service imports starts it.
process.env['UV_THREADPOOL_SIZE'] ??= String(4 + os.availableParallelism())
// onnxruntime tells its maker how it is used unless it is told not to; it looks when it is loaded.
process.env['ORT_DISABLE_TELEMETRY'] ??= '1'

const { readConfig, runService } = await import('@darkroom/chassis')
const { WORKER_VARIABLES } = await import('./config.ts')
const { start } = await import('./service.ts')

// GPUs are counted as nvidia-smi counts them; CUDA's driver reads this when it is first used.
process.env['CUDA_DEVICE_ORDER'] ??= 'PCI_BUS_ID'
await runService(() => start(readConfig(WORKER_VARIABLES, process.env)))
