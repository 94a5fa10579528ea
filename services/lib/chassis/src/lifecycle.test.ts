import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { onTestFinished, expect, test } from 'vitest'

const mod = (file: string): string => JSON.stringify(path.join(import.meta.dirname, file))

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A process whose whole program is `runService(start)`. */
class Service {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>
  readonly #closed: Promise<unknown[]>
  #stdout = ''
  #stderr = ''

  constructor(start: string) {
    const program = `
      import { runService } from ${mod('lifecycle.ts')}
      import { readConfig, integer, text } from ${mod('config.ts')}
      const say = (word) => process.stdout.write(word + '\\n')
      await runService(${start})
      say('left')`
    this.#child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {},
    })
    onTestFinished(() => void this.#child.kill('SIGKILL'))
    this.#closed = once(this.#child, 'close')
    this.#child.stdout.on('data', (chunk: Buffer) => (this.#stdout += chunk.toString()))
    this.#child.stderr.on('data', (chunk: Buffer) => (this.#stderr += chunk.toString()))
  }

  async said(word: string): Promise<void> {
    while (!this.#stdout.split('\n').includes(word)) await once(this.#child.stdout, 'data')
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async ended(): Promise<Ended> {
    const [code, signal] = (await this.#closed) as [number | null, NodeJS.Signals | null]
    return { code, signal, stdout: this.#stdout, stderr: this.#stderr }
  }
}

test.for(['SIGTERM', 'SIGINT'] as const)('%s disposes the service, then the process leaves by itself', async (name) => {
  const service = new Service(`async () => {
    const server = setInterval(() => {}, 1000)
    say('started')
    return { async [Symbol.asyncDispose]() { say('disposed'); clearInterval(server) } }
  }`)
  await service.said('started')
  service.kill(name)
  expect(await service.ended()).toEqual({ code: 0, signal: null, stdout: 'started\ndisposed\nleft\n', stderr: '' })
})

test('a second signal, of either kind, kills at once', async () => {
  const service = new Service(`async (signal) => {
    say('started')
    return { [Symbol.asyncDispose]: () => { say('disposing'); setInterval(() => {}, 1000); return new Promise(() => {}) } }
  }`)
  await service.said('started')
  service.kill('SIGTERM')
  await service.said('disposing')
  service.kill('SIGINT')
  expect(await service.ended()).toMatchObject({ code: null, signal: 'SIGINT' })
})

test('a signal while the service starts ends the start through its AbortSignal, without an error', async () => {
  const service = new Service(`async (signal) => {
    const timer = setInterval(() => {}, 1000)
    say('starting')
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    clearInterval(timer)
    throw signal.reason
  }`)
  await service.said('starting')
  service.kill('SIGTERM')
  expect(await service.ended()).toMatchObject({ code: 0, stderr: '' })
})

test('an unusable environment prints every problem and exits with 78 before anything has started', async () => {
  const service = new Service(`async () => {
    readConfig({ port: integer('PORT', 'port'), host: text('HOST', 'host') }, { PORT: 'x' })
    say('started')
  }`)
  const { code, stdout, stderr } = await service.ended()
  expect(code).toBe(78)
  expect(stdout).not.toContain('started')
  expect(stderr).toBe(
    "the environment is not usable:\n  PORT: want an integer, got 'x'\n  HOST: is required but not set\n",
  )
})

test('a start that fails exits with 1 and says why', async () => {
  const bug = await new Service(`async () => { throw new TypeError('not a function') }`).ended()
  expect(bug.code).toBe(1)
  expect(bug.stderr).toMatch(/TypeError: not a function\n +at /)
})
