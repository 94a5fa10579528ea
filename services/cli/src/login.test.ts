import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { batchJson, sendJson, StandInGateway } from './gateway.harness.ts'
import { runProgram } from './program.ts'

const KEY = 'dk_0123456789abcdef_secret'
const ME = { tenant: 'acme', subject: 'key:0123456789abcdef', scopes: ['read', 'write'], isOpen: false }

let folder: string
let gateway: StandInGateway
let printed: string[]
let complained: string[]
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'darkroom-login-'))
  gateway = await StandInGateway.start((request, response) => {
    if (request.headers.authorization !== `Bearer ${KEY}`)
      return sendJson(response, { detail: 'this gateway takes a key' }, 401)
    if (request.url === '/api/v1/me') return sendJson(response, ME)
    if (request.url.startsWith('/api/v1/batches?')) return sendJson(response, { batches: [batchJson()] })
    return sendJson(response, batchJson())
  })
  printed = []
  complained = []
  vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line))
  vi.spyOn(console, 'error').mockImplementation((line: string) => void complained.push(line))
})
afterEach(async () => {
  vi.restoreAllMocks()
  process.exitCode = undefined
  await gateway[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

async function run(args: readonly string[], environment: Record<string, string> = {}): Promise<number> {
  process.exitCode = undefined
  await runProgram(args, { XDG_CONFIG_HOME: folder, ...environment })
  return exitCode()
}

function exitCode(): number {
  return Number(process.exitCode ?? 0)
}

describe('login', () => {
  test('keeps gateway and key in a file for this user alone, and later commands use them', async () => {
    expect(await run(['login', gateway.url, '--name', 'farm'], { DARKROOM_API_KEY: KEY })).toBe(0)
    expect(printed).toEqual(['farm: tenant acme, may read, write'])
    const file = path.join(folder, 'darkroom', 'config.json')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await run(['status', batchJson().id])).toBe(0)
    expect(gateway.requests.at(-1)!.headers.authorization).toBe(`Bearer ${KEY}`)
    expect(printed.join('\n')).not.toContain('secret')
  })

  test('with a key that is not known says how to log in, and keeps nothing', async () => {
    expect(await run(['login', gateway.url], { DARKROOM_API_KEY: 'wrong' })).toBe(2)
    expect(complained[0]).toMatch(`darkroom login ${gateway.url} --key-stdin`)
    await expect(readFile(path.join(folder, 'darkroom', 'config.json'))).rejects.toThrow('ENOENT')
  })

  test('a key goes to no other gateway than its own', async () => {
    await run(['login', gateway.url], { DARKROOM_API_KEY: KEY })
    await using other = await StandInGateway.start((_, response) => sendJson(response, batchJson()))
    expect(await run(['--gateway', other.url, 'status', batchJson().id])).toBe(0)
    expect(other.requests[0]!.headers.authorization).toBeUndefined()
  })
})

test('contexts are listed, chosen and forgotten', async () => {
  await run(['login', gateway.url, '--name', 'one'], { DARKROOM_API_KEY: KEY })
  await run(['login', gateway.url, '--name', 'two'], { DARKROOM_API_KEY: KEY })
  printed = []
  await run(['--json', 'context'])
  expect(JSON.parse(printed[0]!)).toEqual([
    { name: 'one', isCurrent: false, gateway: gateway.url, hasKey: true },
    { name: 'two', isCurrent: true, gateway: gateway.url, hasKey: true },
  ])
  expect(await run(['context', 'use', 'one'])).toBe(0)
  expect(await run(['context', 'remove', 'two'])).toBe(0)
  expect(await run(['context', 'use', 'two'])).toBe(2)
  expect(complained.at(-1)).toMatch('no context two; known: one')
})

test('audit reads every page of a day', async () => {
  const entry = (target: string): object => ({
    at: '2026-11-26T10:00:00.000Z',
    action: 'batch.cancel',
    subject: 'root',
    tenant: 'default',
    target,
    change: {},
  })
  gateway.answer = (request, response) => {
    const isFirst = !request.url.includes('cursor')
    sendJson(response, { entries: [entry(isFirst ? 'b1' : 'b2')], nextCursor: isFirst ? 'next' : null })
  }
  expect(await run(['audit', '--day', '2026-11-26'], { DARKROOM_GATEWAY_URL: gateway.url })).toBe(0)
  expect(gateway.requests.map(({ url }) => url)).toEqual([
    '/api/v1/audit?limit=1000&day=2026-11-26',
    '/api/v1/audit?limit=1000&day=2026-11-26&cursor=next',
  ])
  expect(
    printed[0]!
      .split('\n')
      .slice(1)
      .map((line) => line.split(/ {2,}/)[4]),
  ).toEqual(['b1', 'b2'])
})

test('a config file that is no JSON is named', async () => {
  await run(['login', gateway.url], { DARKROOM_API_KEY: KEY })
  await writeFile(path.join(folder, 'darkroom', 'config.json'), '{')
  expect(await run(['context'])).toBe(78)
  expect(complained.at(-1)).toMatch('config.json is no JSON')
})

describe('completion', () => {
  test.each([
    [['su'], ['submit']],
    [
      ['keys', 'r'],
      ['rotate', 'revoke'],
    ],
    [['status', 'b0'], [batchJson().id]],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['submit', '--check'], ['--checkpoint']],
    [['no-such', 'x'], []],
  ])('of %j is %j', async (words, found) => {
    await run(['complete', '--', ...words], { DARKROOM_GATEWAY_URL: gateway.url, DARKROOM_API_KEY: KEY })
    expect(printed[0]!.split('\n').filter(Boolean)).toEqual(found)
  })

  test('its script is taken by a real bash', async () => {
    await run(['completion', 'bash'])
    const script = `${printed[0]}\ndarkroom() { printf 'submit\\nsimulate\\n'; }\nCOMP_WORDS=(darkroom s); COMP_CWORD=1; _darkroom; printf '%s ' "\${COMPREPLY[@]}"`
    const { stdout } = await promisify(execFile)('bash', ['-c', script])
    expect(stdout.trim()).toBe('submit simulate')
  })
})
