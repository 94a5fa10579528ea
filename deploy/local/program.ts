import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, readFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { finished } from 'node:stream/promises'

/** What a program says in its `ready` line. */
interface Ready {
  readonly httpPort?: number
  readonly grpcPort?: number
  readonly adminPort?: number
}

export interface Program {
  readonly name: string
  readonly pid: number
  readonly ready: Ready
  readonly logFile: string
  /** Resolves when it has ended, however. */
  readonly exited: Promise<void>
  isRunning(): boolean
  kill(signal: NodeJS.Signals): void
  /** SIGTERM, and SIGKILL for what has not ended within the grace. */
  stop(): Promise<void>
}

const START_TIMEOUT_MS = 60_000
const STOP_GRACE_MS = 35_000
const CHILD = path.join(import.meta.dirname, 'child.mjs')

/** Starts a program of the farm as a process of its own and waits for its `ready` line. */
export async function startProgram(options: {
  name: string
  main: string
  /** Of Node itself. */
  nodeFlags?: readonly string[]
  env: Record<string, string>
  logFolder: string
}): Promise<Program> {
  const { name, main, nodeFlags = [], env, logFolder } = options
  const logFile = path.join(logFolder, `${name}.log`)
  const child = spawn(process.execPath, [...nodeFlags, CHILD, main], {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    // In a group of its own: Ctrl-C in a terminal is for the launcher, which stops its children in order.
    detached: true,
  })
  // Its end may come before ours.
  child.stdin.on('error', () => {})
  const log = createWriteStream(logFile, { flags: 'a' })
  child.stderr.pipe(log, { end: false })
  child.stdout.pipe(log, { end: false })
  // Not at its exit: what it said last may still be in the pipes, and in the log's stream.
  const exited = once(child, 'close').then(() => finished(log.end()))
  const ready = await readyLine(child, name, logFile, exited)
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null
  return {
    name,
    pid: child.pid!,
    ready,
    logFile,
    exited,
    isRunning,
    kill: (signal) => void child.kill(signal),
    async stop() {
      if (isRunning()) child.kill('SIGTERM')
      const forced = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS)
      await exited
      clearTimeout(forced)
    },
  }
}

async function readyLine(child: ChildProcess, name: string, logFile: string, exited: Promise<void>): Promise<Ready> {
  const lines = createInterface({ input: child.stdout! })
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      child.kill('SIGKILL')
      reject(new Error(`${name} ${why}; the end of ${logFile}:\n${tailOf(logFile)}`))
    }
    const timer = setTimeout(() => fail(`was not ready within ${START_TIMEOUT_MS / 1000} s`), START_TIMEOUT_MS)
    const ended = (code: number | null, signal: string | null): void => {
      clearTimeout(timer)
      void exited.then(() => fail(`ended with ${signal ?? `exit code ${code}`}`))
    }
    child.once('exit', ended)
    child.once('error', reject)
    lines.on('line', (line) => {
      const message = parse(line)
      if (message?.['msg'] !== 'ready') return
      clearTimeout(timer)
      child.off('exit', ended)
      lines.removeAllListeners('line')
      resolve(message)
    })
  })
}

function parse(line: string): (Ready & Record<string, unknown>) | null {
  try {
    return JSON.parse(line) as Ready & Record<string, unknown>
  } catch {
    return null
  }
}

export function tailOf(file: string, lines = 20): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
  } catch {
    return ''
  }
}
