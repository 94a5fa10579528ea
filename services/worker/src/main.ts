import { readConfig, runService } from '@darkroom/chassis'
import { WORKER_VARIABLES } from './config.ts'
import { start } from './service.ts'

await runService(() => start(readConfig(WORKER_VARIABLES, process.env)))
