import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { schedulersPage } from './schedulers-page.ts'

test("the schedulers' page says what the registry says", () => {
  const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/schedulers.md'), 'utf8')
  expect(page, 'run npm run docs').toBe(schedulersPage())
})
