/**
 * `npm run api-conformance [-- --examples N] [--venv FOLDER]`: schemathesis (PyPI) asks a real farm everything that
 * /openapi.json allows, and much that it does not, and holds the answers against it: no 500, no answer that the document does not
 * know, what it forbids refused.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { Farm } from '@darkroom/local'

const SCHEMATHESIS = 'schemathesis==4.32.5'
const ROOT = path.resolve(import.meta.dirname, '../..')

const { values } = parseArgs({
  options: {
    examples: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    venv: { type: 'string', default: path.join(ROOT, '.cache/schemathesis') },
  },
})

function install(venv: string): string {
  const program = path.join(venv, 'bin/schemathesis')
  if (existsSync(program)) return program
  for (const [command, ...args] of [
    ['python3', '-m', 'venv', venv],
    [path.join(venv, 'bin/pip'), 'install', '--quiet', SCHEMATHESIS],
  ] as const) {
    const { status } = spawnSync(command, args, { stdio: 'inherit' })
    if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`)
  }
  return program
}

/**
 * Pictures that somebody waits for, streams that last as long as their batch, and bodies that are pictures have tests of their
 * own.
 */
const NOT_ASKED = '^/(v1/images|sdapi/v1/.*img|models|api/v1/pictures|api/v1/batches/\\{id\\}/events)'
/**
 * That whatever the document allows is accepted is not asked: a file must be there, an end lie ahead, a checkpoint be known. That
 * keys are asked for is held by the matrix of access.
 */
const NOT_HELD = 'positive_data_acceptance,ignored_auth'

async function ask(program: string, url: string): Promise<number> {
  const args = [
    'run',
    `${url}/openapi.json`,
    `--max-examples=${values.examples}`,
    `--seed=${values.seed}`,
    `--exclude-path-regex=${NOT_ASKED}`,
    '--phases=examples,coverage,fuzzing',
    '--checks=all',
    `--exclude-checks=${NOT_HELD}`,
    '--generation-database=none',
    '--no-color',
    '--continue-on-failure',
    '--request-timeout=20',
  ]
  const child = spawn(program, args, {
    stdio: 'inherit',
    cwd: directory,
    env: { ...process.env, SCHEMATHESIS_HOOKS: path.join(import.meta.dirname, 'hooks.py') },
  })
  return new Promise((resolve) => {
    child.once('exit', (code) => resolve(code ?? 1))
  })
}

const program = install(values.venv)
const directory = mkdtempSync(path.join(os.tmpdir(), 'darkroom-api-'))
try {
  await using farm = await Farm.start({ directory, workers: 1 })
  process.exitCode = await ask(program, farm.gatewayUrl)
} finally {
  rmSync(directory, { recursive: true, force: true })
}
