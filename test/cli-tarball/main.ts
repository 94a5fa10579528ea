/**
 * `npm run cli-tarball`: packs the darkroom command, installs the tarball as a user does, and runs it on every Node that it is
 * for, against a real farm.
 */
import { packCli } from '@darkroom/cli/pack'
import { Farm } from '@darkroom/local'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** Packages of npm's `node`: the oldest line that it is for, and those after it. */
const NODES = ['20.20.2', '22.23.3', '24.21.0']
const PROMPTS = '{"prompt":"a red apple","seed":1}\n{"prompt":"a panda","seed":2}\n'

const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-cli-tarball-'))
try {
  const tarball = await packCli(folder)
  await using farm = await Farm.start({ directory: path.join(folder, 'farm'), workers: 1 })
  for (const version of NODES) check(version, tarball, farm)
  console.log(JSON.stringify({ tarball: path.basename(tarball), nodes: NODES }))
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function check(version: string, tarball: string, farm: Farm): void {
  const prefix = path.join(folder, version)
  const install = (...args: readonly string[]): Buffer =>
    execFileSync('npm', ['install', '--prefix', prefix, '--silent', '--no-audit', '--no-fund', ...args])
  install(`node@${version}`)
  install('--global', tarball)
  const node = path.join(prefix, 'node_modules/node/bin/node')
  const run = (...args: readonly string[]): string =>
    execFileSync(node, [path.join(prefix, 'bin/darkroom'), ...args], {
      encoding: 'utf8',
      cwd: prefix,
      env: { ...farm.cliEnvironment, PATH: process.env['PATH'], HOME: prefix },
    })
  expect(execFileSync(node, ['--version'], { encoding: 'utf8' }).trim(), `v${version}`)
  expect(run('--version').trim(), '0.1.0')
  expectIn(run('--help'), 'submit')
  writeFileSync(path.join(prefix, 'prompts.jsonl'), PROMPTS)
  const submitted = run('--json', 'submit', 'prompts.jsonl', '-c', 'emoji-sd', '--steps', '3', '--watch')
  const { id } = JSON.parse(submitted.split('\n')[0]!) as { id: string }
  run('download', id, '--out', 'pictures')
  expect(readdirSync(path.join(prefix, 'pictures')).filter((name) => name.endsWith('.png')).length, 2)
  expectIn(run('verify', id), id)
  expectIn(run('list'), id)
  expectIn(run('checkpoints'), 'emoji-sd')
  expectIn(run('simulate', '--workers', '2', '--prompts', '10'), 'images')
  console.log(`Node ${version}: installed, submitted, watched, downloaded, verified`)
}

function expect(got: unknown, wanted: unknown): void {
  if (got !== wanted) throw new Error(`want ${String(wanted)}, got ${String(got)}`)
}

function expectIn(text: string, part: string): void {
  if (!text.includes(part)) throw new Error(`want ${part} in ${text}`)
}
