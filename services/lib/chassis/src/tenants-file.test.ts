import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { DEFAULT_TERMS, tenantsFile } from './tenants-file.ts'

const directory = mkdtempSync(path.join(os.tmpdir(), 'darkroom-tenants-'))
afterAll(() => rmSync(directory, { recursive: true }))

function read(text: string) {
  const file = path.join(directory, 'tenants.json')
  writeFileSync(file, text)
  return tenantsFile('TENANTS', '').read({ TENANTS: file })
}

test('terms that a tenant is not given are the default ones', () => {
  const terms = read('{"acme": {"weight": 2.5, "cap": 10}, "beta": {"burst": 3, "cap": null}, "gamma": {}}')
  expect([...terms]).toEqual([
    ['acme', { ...DEFAULT_TERMS, weight: 2.5, cap: 10 }],
    ['beta', { ...DEFAULT_TERMS, burst: 3 }],
    ['gamma', DEFAULT_TERMS],
  ])
  expect(tenantsFile('TENANTS', '').read({}).size).toBe(0)
})

test.each([
  ['{"acme": {"weight": 0}}', 'acme.weight: want a number above 0, got 0'],
  ['{"acme": {"cap": "ten"}}', 'acme.cap: want a whole number of shards, or null for no cap, got "ten"'],
  ['{"acme": {"burst": -1}}', 'acme.burst: want a whole number of shards, got -1'],
  [
    '{"acme": {"wieght": 1}}',
    'acme.wieght: no such field; want weight, cap, burst, checkpoints, maySkipSafetyChecker, requestsPerMinute, imagesPerDay',
  ],
  [
    '{"acme": 3}',
    'acme: want an object with weight, cap, burst, checkpoints, maySkipSafetyChecker, requestsPerMinute, imagesPerDay',
  ],
  ['{"acme": {"checkpoints": "emoji-sd"}}', 'acme.checkpoints: want a list of checkpoint names, or null for all'],
  ['{"acme": {"imagesPerDay": -1}}', 'acme.imagesPerDay: want a whole number of images, or null'],
  ['{"acme": {"requestsPerMinute": 0}}', 'acme.requestsPerMinute: want a whole number above 0, or null'],
  ['{"../acme": {}}', "'../acme' is no tenant's name"],
  ['[]', 'want an object of tenants by name'],
  ['{', 'is no JSON'],
])('%s is refused with field, value and remedy', (text, message) => {
  expect(() => read(text)).toThrow(message)
})

test('a file that is not there is named', () => {
  expect(() => tenantsFile('TENANTS', '').read({ TENANTS: '/no/such.json' })).toThrow(
    "the file '/no/such.json' cannot be read",
  )
})
