import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, vi } from 'vitest'
import { batchJson, sendJson, StandInGateway } from './gateway.harness.ts'
import { runProgram } from './program.ts'

/** What a test of a command works with: anew for each. */
export interface CommandBench {
  /** Gone after the test. */
  folder: string
  /** Answers everything with a batch until the test says otherwise. */
  gateway: StandInGateway
  /** On standard output. */
  printed: string[]
  /** On standard error. */
  complained: string[]
  /** Runs a command line against the gateway. @returns its exit code */
  run(...args: string[]): Promise<number>
}

/** A bench for every test of a file. */
export function commandBench(): CommandBench {
  const bench: CommandBench = {
    folder: '',
    gateway: null as unknown as StandInGateway,
    printed: [],
    complained: [],
    async run(...args) {
      process.exitCode = undefined
      await runProgram(args, { DARKROOM_GATEWAY_URL: bench.gateway.url, XDG_CONFIG_HOME: bench.folder })
      return exitCode()
    },
  }
  beforeEach(async () => {
    bench.folder = await mkdtemp(path.join(os.tmpdir(), 'darkroom-cli-'))
    bench.gateway = await StandInGateway.start((_, response) => sendJson(response, batchJson()))
    bench.printed = []
    bench.complained = []
    vi.spyOn(console, 'log').mockImplementation((line: string) => void bench.printed.push(line))
    vi.spyOn(console, 'error').mockImplementation((line: string) => void bench.complained.push(line))
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => bench.complained.push(String(text)) > 0)
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => bench.printed.push(String(text)) > 0)
  })
  afterEach(async () => {
    vi.restoreAllMocks()
    process.exitCode = undefined
    await bench.gateway[Symbol.asyncDispose]()
    await rm(bench.folder, { recursive: true, force: true })
  })
  return bench
}

function exitCode(): number {
  return Number(process.exitCode ?? 0)
}
