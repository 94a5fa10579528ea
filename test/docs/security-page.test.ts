import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'

const ROOT = path.resolve(import.meta.dirname, '../..')
const PAGE = readFileSync(path.join(ROOT, 'docs/security.md'), 'utf8')
const CITED = [...PAGE.matchAll(/`([^`\s]+\.test\.ts)`: `([^`]+)`/gu)].map(([, file, name]) => ({
  file: file!,
  name: name!,
}))
/** Rows of the threats' tables, without their heads. */
const THREATS = PAGE.slice(PAGE.indexOf('## Threats'), PAGE.indexOf('## What is not covered'))
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| threat |'))

test('every threat names a test', () => {
  expect(THREATS.length).toBeGreaterThan(0)
  expect(THREATS.filter((row) => !row.includes('.test.ts`: `'))).toEqual([])
})

test.for(CITED)('$file has "$name"', ({ file, name }) => {
  const text = readFileSync(path.join(ROOT, file), 'utf8').replaceAll(String.raw`\'`, "'")
  expect(text).toContain(name)
})
