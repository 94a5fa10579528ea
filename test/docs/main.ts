import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { schedulersPage } from './schedulers-page.ts'

/** Makes what docs/ takes from the code: the page of schedulers, and the example inside the page of the loop. */
const ROOT = path.resolve(import.meta.dirname, '../..')
const LOOP = path.join(ROOT, 'docs/denoising-loop.md')

writeFileSync(path.join(ROOT, 'docs/schedulers.md'), schedulersPage())
const example = readFileSync(path.join(ROOT, 'test/examples/denoising-loop.ts'), 'utf8')
const page = readFileSync(LOOP, 'utf8').replace(/(?<=^```ts\n)[\s\S]*?(?=^```$)/m, () => example)
writeFileSync(LOOP, page)
