import { readConfig, runService } from '@darkroom/chassis'
import { WORKER_VARIABLES } from './config.ts'
import { start } from './service.ts'

// GPUs are counted as nvidia-smi counts them; CUDA's driver reads this when it is first used.
process.env['CUDA_DEVICE_ORDER'] ??= 'PCI_BUS_ID'
await runService(() => start(readConfig(WORKER_VARIABLES, process.env)))
