import path from 'node:path'
import { holdFarm, keepFarm } from './hold-farm.ts'

// The farm of the demo, kept until Ctrl-C; what it holds is there again the next time.
const directory = path.resolve(import.meta.dirname, '..', '..', '.cache', 'dev')
await holdFarm({ directory, isTemporary: false, isOverAtDeath: false }, keepFarm)
