import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { RootKeys, rootKeysFile } from './root-keys.ts'

const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-root-keys-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = path.join(folder, 'root-keys')
const [OLD, NEW] = ['o'.repeat(32), 'n'.repeat(32)]

test('a line more and a line less rotate the keys without a restart', () => {
  writeFileSync(file, `${OLD}\n`)
  const keys = RootKeys.read(file)
  const start = Date.now()
  expect([keys.has(OLD, start), keys.has(NEW, start)]).toEqual([true, false])
  const rewrite = (text: string, seconds: number): number => {
    writeFileSync(file, text)
    utimesSync(file, start / 1000 + seconds, start / 1000 + seconds)
    return start + seconds * 1000
  }
  const both = rewrite(`${OLD}\n\n  ${NEW}  \n`, 10)
  expect([keys.has(OLD, both), keys.has(NEW, both)]).toEqual([true, true])
  const one = rewrite(`${NEW}\n`, 20)
  expect([keys.has(OLD, one), keys.has(NEW, one)]).toEqual([false, true])
  const broken = rewrite('short\n', 30)
  expect([keys.has(NEW, broken), keys.has('short', broken)]).toEqual([true, false])
})

test.each([
  ['', 'has no key'],
  ['short\n', 'openssl rand -hex 32 makes one'],
])('a file with %j is refused', (text, message) => {
  writeFileSync(file, text)
  expect(() => rootKeysFile('KEYS', '').read({ KEYS: file })).toThrow(message)
  expect(() => rootKeysFile('KEYS', '').read({ KEYS: '/no/such' })).toThrow("'/no/such' cannot be read")
})
