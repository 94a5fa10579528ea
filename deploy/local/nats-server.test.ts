import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { findNatsServer, installNatsServer } from './install-nats-server.mjs'
import { startNatsServer } from './nats-server.ts'

afterEach(() => void vi.unstubAllEnvs())

function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-nats-server-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A program that says that it is this version of nats-server. */
function pretend(version: string, folder = temporaryFolder()): string {
  const file = path.join(folder, 'nats-server')
  writeFileSync(file, `#!/bin/sh\necho 'nats-server: ${version}'\n`)
  chmodSync(file, 0o755)
  return file
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('a server answers with JetStream when it is started, keeps its files in its folder, and is gone when stopped', async () => {
  const directory = temporaryFolder()
  const server = await startNatsServer({ directory })
  expect(server.url).toBe(`nats://127.0.0.1:${server.port}`)
  expect(isAlive(server.pid)).toBe(true)
  await server[Symbol.asyncDispose]()
  expect(isAlive(server.pid)).toBe(false)
  expect(existsSync(path.join(directory, 'store'))).toBe(true)
  expect(readFileSync(path.join(directory, 'nats-server.log'), 'utf8')).toContain('Server is ready')
})

test('a server that cannot start says so at once', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  onTestFinished(() => void taken.close())
  const { port } = taken.address() as AddressInfo
  await expect(startNatsServer({ directory: temporaryFolder(), port })).rejects.toThrow(/ended with exit code 1/)
})

test('NATS_SERVER_BIN comes before PATH, and PATH before the cache', () => {
  const [named, onPath] = [pretend('v2.11.0'), pretend('v2.9.10')]
  vi.stubEnv('NATS_SERVER_BIN', '')
  vi.stubEnv('PATH', `/nowhere${path.delimiter}${path.dirname(onPath)}`)
  expect(findNatsServer()).toBe(onPath)
  vi.stubEnv('NATS_SERVER_BIN', named)
  expect(findNatsServer()).toBe(named)
  expect(installNatsServer()).toBe(named)
})

test('a server on PATH that is too old is passed over', () => {
  const old = pretend('v2.9.9')
  const recent = pretend('v3.0.0')
  vi.stubEnv('NATS_SERVER_BIN', '')
  vi.stubEnv('PATH', [old, recent].map((file) => path.dirname(file)).join(path.delimiter))
  expect(findNatsServer()).toBe(recent)
})

test('a NATS_SERVER_BIN that is no use is an error that names it', () => {
  vi.stubEnv('NATS_SERVER_BIN', '/no/such/file')
  expect(findNatsServer).toThrow("NATS_SERVER_BIN: '/no/such/file' is not an executable file")
  const old = pretend('v2.8.4')
  vi.stubEnv('NATS_SERVER_BIN', old)
  expect(findNatsServer).toThrow(`NATS_SERVER_BIN: '${old}' is no nats-server of 2.9.10 or later`)
})
