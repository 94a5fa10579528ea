import { readConfig, runService } from '@darkroom/chassis'
import { COORDINATOR_VARIABLES } from './config.ts'
import { start } from './service.ts'

await runService(() => start(readConfig(COORDINATOR_VARIABLES, process.env)))
