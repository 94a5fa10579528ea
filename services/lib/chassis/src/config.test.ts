import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { expect, expectTypeOf, onTestFinished, test } from 'vitest'
import { flag, integer, list, number, oneOf, optional, readConfig, secret, text, url } from './config.ts'
import type { Secret, VariableTable } from './config.ts'
import { DarkroomError } from './errors.ts'
import { STORE_VARIABLES, storeConfigFrom } from './variables.ts'

/** What readConfig says of each variable, by name. */
function problemsOf(table: VariableTable, environment: Record<string, string>): Record<string, string> {
  try {
    readConfig(table, environment)
  } catch (reason) {
    expect(reason).toBeInstanceOf(DarkroomError)
    const error = reason as DarkroomError
    expect(error.code).toBe('INVALID_CONFIG')
    return Object.fromEntries(error.problems.map(({ field, message }) => [field, message]))
  }
  return {}
}

function fileWith(content: string): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-config-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = path.join(folder, 'secret')
  writeFileSync(file, content)
  return file
}

const TABLE = {
  host: text('HOST', 'address', '127.0.0.1'),
  port: integer('PORT', 'port', 8080, { min: 0, max: 65_535 }),
  share: number('SHARE', 'share', 0.5, { min: 0 }),
  proxy: flag('PROXY', 'whether to proxy', false),
  device: oneOf('DEVICE', 'device', ['cpu', 'cuda'], 'cpu'),
  peers: list('PEERS', 'peers', 'a:1'),
  endpoint: url('ENDPOINT', 'endpoint', 'http://127.0.0.1:9000'),
  extra: optional(integer('EXTRA', 'extra')),
} as const

test('what is not set, or set to nothing, has its default', () => {
  const defaults = {
    host: '127.0.0.1',
    port: 8080,
    share: 0.5,
    proxy: false,
    device: 'cpu',
    peers: ['a:1'],
    endpoint: 'http://127.0.0.1:9000',
    extra: null,
  }
  expect(readConfig(TABLE, {})).toEqual(defaults)
  expect(readConfig(TABLE, { HOST: '', PORT: '', PEERS: '', EXTRA: '' })).toEqual(defaults)
})

test('what is set is parsed, typed and frozen', () => {
  const config = readConfig(TABLE, {
    HOST: '0.0.0.0',
    PORT: '0',
    SHARE: '1e-3',
    PROXY: '1',
    DEVICE: 'cuda',
    PEERS: 'a:1, b:2',
    EXTRA: '-7',
  })
  expect(config).toMatchObject({ host: '0.0.0.0', port: 0, share: 0.001, proxy: true, device: 'cuda', extra: -7 })
  expect(config.peers).toEqual(['a:1', 'b:2'])
  expect(Object.isFrozen(config)).toBe(true)
  expectTypeOf(config.device).toEqualTypeOf<'cpu' | 'cuda'>()
  expectTypeOf(config.extra).toEqualTypeOf<number | null>()
})

test('every variable that is missing or malformed is named at once, with what is wanted', () => {
  const table = { ...TABLE, needed: text('NEEDED', 'needed'), key: secret('KEY', 'key') }
  const environment = {
    PORT: '80o0',
    SHARE: '-1',
    PROXY: 'yes',
    DEVICE: 'tpu',
    PEERS: 'a,,b',
    ENDPOINT: 'localhost',
    EXTRA: '1.5',
  }
  expect(problemsOf(table, environment)).toEqual({
    PORT: "want an integer, got '80o0'",
    SHARE: 'want a number of 0 or more, got -1',
    PROXY: "want true or false, got 'yes'",
    DEVICE: "want one of cpu, cuda, got 'tpu'",
    PEERS: "want a comma-separated list without empty entries, got 'a,,b'",
    ENDPOINT: "want a URL such as http://127.0.0.1:9000, got 'localhost'",
    EXTRA: "want an integer, got '1.5'",
    NEEDED: 'is required but not set',
    KEY: 'is required but not set (nor is KEY_FILE)',
  })
  expect(problemsOf(TABLE, { PORT: '65536' })).toEqual({ PORT: 'want a number from 0 to 65535, got 65536' })
})

test('a secret comes from its variable or from a file, and neither logs nor JSON print it', () => {
  const table = { key: secret('KEY', 'key') }
  const fromFile = readConfig(table, { KEY_FILE: fileWith('hunter2\n') })
  expect(fromFile.key.reveal()).toBe('hunter2')
  const { key }: { key: Secret } = readConfig(table, { KEY: 'hunter2' })
  expect(key.reveal()).toBe('hunter2')
  for (const shown of [JSON.stringify({ key }), inspect({ key }), String(key), inspect(key, { showHidden: true })]) {
    expect(shown).toContain('[secret]')
    expect(shown).not.toContain('hunter2')
  }
})

test('a secret that is set twice, or whose file is missing or empty, is a problem that does not print it', () => {
  const table = { key: optional(secret('KEY', 'key')) }
  expect(problemsOf(table, { KEY: 'hunter2', KEY_FILE: '/x' })).toEqual({ KEY: 'is set twice: unset KEY or KEY_FILE' })
  expect(problemsOf(table, { KEY_FILE: '/no/such/file' })['KEY']).toMatch(/cannot be read/)
  expect(problemsOf(table, { KEY_FILE: fileWith('\n') })['KEY']).toMatch(/is empty/)
})

test('half of the S3 credentials is an error that names the other half', () => {
  const environment = { DARKROOM_S3_BUCKET: 'farm', DARKROOM_S3_ACCESS_KEY_ID: 'id' }
  expect(() => storeConfigFrom(readConfig(STORE_VARIABLES, environment))).toThrowError(
    expect.objectContaining({ problems: [expect.objectContaining({ field: 'DARKROOM_S3_SECRET_ACCESS_KEY' })] }),
  )
})
