import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { endWithUs } from './end-with-us.ts'
import { findNatsServer } from './install-nats-server.mjs'
import { freePort } from './free-port.ts'

export interface NatsServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** SIGTERM and wait, or at once with SIGKILL. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>
}

export interface NatsServerOptions {
  readonly directory: string
  /** Of loopback; 127.0.0.1 where it is not said. */
  readonly host?: string
  readonly port?: number
  /** For users, permissions and TLS; storage too, where it has a block for it. */
  readonly configFile?: string
  /** Of the variables that the config file names. */
  readonly env?: Readonly<Record<string, string>>
  /** What clients are to write before its address: tls where the config file has TLS. */
  readonly scheme?: 'nats' | 'tls'
}

const START_TIMEOUT_MS = 10_000
const GREETING_TIMEOUT_MS = 500

/** A real nats-server with JetStream on loopback, its storage and log in `directory`. */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  const binary = findNatsServer()
  if (binary === null) throw new Error('no nats-server: run npm run setup')
  mkdirSync(options.directory, { recursive: true })
  const { host = '127.0.0.1' } = options
  const port = options.port ?? (await freePort())
  const store = ['--jetstream', '--store_dir', path.join(options.directory, 'store')]
  const { configFile } = options
  const args = [
    `--addr=${host}`,
    `--port=${port}`,
    ...(configFile !== undefined && placesStorage(configFile) ? [] : store),
    ...(configFile === undefined ? [] : ['--config', configFile]),
  ]
  // In a group of its own: Ctrl-C in a terminal is for the launcher, which stops its children in order.
  const child = spawn(binary, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
    env: { ...process.env, ...options.env },
  })
  endWithUs(child)
  child.stderr.pipe(createWriteStream(path.join(options.directory, 'nats-server.log'), { flags: 'a' }))
  const exited = once(child, 'exit')
  await answers(child, host, port)
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    await exited
  }
  const url = `${options.scheme ?? 'nats'}://${host}:${port}`
  return { url, port, pid: child.pid!, stop, [Symbol.asyncDispose]: () => stop() }
}

/** nats-server takes JetStream's storage from its file or from its arguments, not from both. */
function placesStorage(configFile: string): boolean {
  return /^jetstream\b/m.test(readFileSync(configFile, 'utf8'))
}

/** JetStream is up when the server greets a client with it. */
async function answers(child: ChildProcess, host: string, port: number): Promise<void> {
  const giveUp = Date.now() + START_TIMEOUT_MS
  while (Date.now() < giveUp) {
    if (child.exitCode !== null)
      throw new Error(`nats-server ended with exit code ${child.exitCode}: see nats-server.log`)
    if (await greets(host, port)) return
    await delay(20)
  }
  child.kill('SIGKILL')
  throw new Error(`nats-server did not answer within ${START_TIMEOUT_MS} ms`)
}

function greets(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host)
    const end = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('error', () => end(false))
    // Whoever else has the port may say nothing.
    socket.setTimeout(GREETING_TIMEOUT_MS, () => end(false))
    socket.once('data', (greeting) => end(greeting.includes('"jetstream":true')))
  })
}
