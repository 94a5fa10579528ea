// Installs what is missing: the npm packages (Node 24 among them) and nats-server. Plain JavaScript for Node 20; quick when nothing is.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { installNatsServer } from './install-nats-server.mjs'

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..')
const STAMP = path.join(ROOT, 'node_modules', '.darkroom-setup')
const OLDEST_NODE = [20, 9]

function fail(message) {
  console.error(message)
  process.exit(1)
}

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
  fail(`Node ${process.versions.node} is too old: install Node ${OLDEST_NODE.join('.')} or newer`)
}

const LOCKFILE = path.join(ROOT, 'package-lock.json')
// npm writes it last: newer than the lockfile means that somebody has installed what the lockfile says.
const INSTALLED = path.join(ROOT, 'node_modules', '.package-lock.json')
const lockfile = createHash('sha256').update(readFileSync(LOCKFILE)).digest('hex')
const isInstalled =
  existsSync(INSTALLED) &&
  (statSync(INSTALLED).mtimeMs >= statSync(LOCKFILE).mtimeMs ||
    (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === lockfile))
if (!isInstalled) {
  console.log('installing the npm packages (once, about a minute) …')
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
  })
  if (status !== 0) fail('npm ci failed: see its message above, mend it and run the command again')
  writeFileSync(STAMP, lockfile)
}

const WEB = path.join(ROOT, 'services', 'gateway', 'web')
const BUILT = path.join(WEB, 'dist', 'index.html')
/** When the newest file of a folder was changed. */
function newest(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((latest, entry) => Math.max(latest, statSync(path.join(entry.parentPath, entry.name)).mtimeMs), 0)
}
const sourcesMs = Math.max(newest(path.join(WEB, 'src')), statSync(path.join(WEB, 'index.html')).mtimeMs)
if (!existsSync(BUILT) || statSync(BUILT).mtimeMs < sourcesMs) {
  const vite = path.join(ROOT, 'node_modules', 'vite', 'bin', 'vite.js')
  // By the Node that the packages brought: the host's may be older than vite takes.
  const node = path.join(ROOT, 'node_modules', 'node', 'bin', 'node')
  const { status } = spawnSync(node, [vite, 'build', '--logLevel', 'warn'], { cwd: WEB, stdio: 'inherit' })
  if (status !== 0) fail('the dashboard could not be built: see the message above')
}

try {
  installNatsServer()
} catch (error) {
  fail(error.message)
}
