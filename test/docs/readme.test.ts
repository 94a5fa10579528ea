import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'

const ROOT = path.resolve(import.meta.dirname, '../..')
const README = readFileSync(path.join(ROOT, 'README.md'), 'utf8')

test('every file that a command of the README takes is there, so that it works when it is pasted', () => {
  const commands = [...README.matchAll(/^```\n([\s\S]*?)^```$/gm)].flatMap(([, block]) => block!.split('\n'))
  const files = commands.flatMap((command) => command.replace(/#.*/, '').split(/[\s()]+/)).filter((word) => /^(deploy|test|services)\//.test(word)) // prettier-ignore
  expect(files.length).toBeGreaterThan(5)
  expect(files.filter((file) => !existsSync(path.join(ROOT, file)))).toEqual([])
})

test('the pictures that the example lines name lie beside them', () => {
  const folder = path.join(ROOT, 'deploy/local/examples')
  const lines = readFileSync(path.join(folder, 'prompts.jsonl'), 'utf8').trimEnd().split('\n')
  const images = lines.flatMap((line) => (JSON.parse(line) as { image?: string }).image ?? [])
  expect(images).toEqual(['cat.png'])
  expect(existsSync(path.join(folder, 'cat.png'))).toBe(true)
})
