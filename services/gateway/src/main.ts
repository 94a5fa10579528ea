import './small-nursery.ts'
import { readConfig, runService } from '@darkroom/chassis'
import { GATEWAY_VARIABLES } from './config.ts'
import { start } from './service.ts'

await runService(() => start(readConfig(GATEWAY_VARIABLES, process.env)))
