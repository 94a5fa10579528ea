import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { schedulersPage } from './schedulers-page.ts'

writeFileSync(path.resolve(import.meta.dirname, '../../docs/schedulers.md'), schedulersPage())
