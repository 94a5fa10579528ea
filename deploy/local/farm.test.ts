import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Farm } from './farm.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'darkroom-farm-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

/** Resolves when no process has the id any more, or only as a zombie that nobody fetched. */
async function ended(pid: number): Promise<void> {
  for (;;) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
    if (stat === null || stat.includes(') Z ')) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

test('a farm answers while it is there, and all its processes end with it', { timeout: 60_000 }, async () => {
  const farm = await Farm.start({ directory, workers: 0, checkpoints: [] })
  expect((await fetch(`${farm.gatewayUrl}/api/v1/workers`)).status).toBe(200)
  for (const url of Object.values(farm.metricsUrls)) expect((await fetch(url)).status).toBe(200)
  const pids = farm.programs.map(({ pid }) => pid)
  expect(pids).toHaveLength(3)
  await farm[Symbol.asyncDispose]()
  await Promise.all(pids.map(ended))
})

test(
  'a process that ends by itself is reported, one that is killed on purpose is not',
  { timeout: 60_000 },
  async () => {
    const died = Promise.withResolvers<string>()
    await using farm = await Farm.start({
      directory,
      workers: 0,
      coordinators: 2,
      checkpoints: [],
      onDeath: died.resolve,
    })
    await farm.kill('coordinator-0')
    process.kill(farm.program('coordinator-1').pid, 'SIGKILL')
    expect(await died.promise).toMatch(/^coordinator-1 ended unexpectedly; the end of .*coordinator-1\.log:/)
  },
)

test('a part that does not start says why, and takes the others with it', { timeout: 60_000 }, async () => {
  const env = { gateway: { DARKROOM_GATEWAY_PORT: 'not a port' } }
  const starting = Farm.start({ directory, workers: 0, checkpoints: [], env })
  await expect(starting).rejects.toThrow(/gateway ended with exit code 78[^]*DARKROOM_GATEWAY_PORT/)
})

test('nothing outlives a launcher that was killed', { timeout: 60_000 }, async () => {
  const script = `
    const { Farm } = await import(${JSON.stringify(path.join(import.meta.dirname, 'farm.ts'))})
    const farm = await Farm.start({ directory: ${JSON.stringify(directory)}, workers: 0, checkpoints: [] })
    console.log(JSON.stringify([...farm.programs.map(({ pid }) => pid), farm.natsPid]))`
  const launcher = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(createInterface({ input: launcher.stdout }), 'line')) as [string]
  const pids = JSON.parse(line) as number[]
  expect(pids.filter((pid) => existsSync(`/proc/${pid}`))).toHaveLength(4)
  launcher.kill('SIGKILL')
  await Promise.all(pids.map(ended))
})
