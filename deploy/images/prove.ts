import { ObjectStore, pushCheckpoint } from '@darkroom/chassis'
import { GatewayClient } from '@darkroom/cli'
import { freePort, startNatsServer } from '@darkroom/local'
import { startS3Server } from '@darkroom/local/s3'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { layBase } from './base-image.ts'
import { copyContext } from './build-context.ts'
import { commandsOf, settingsOf, stagesOf } from './dockerfile.ts'
import { startSealed } from './sealed-process.ts'
import type { Sealed } from './sealed-process.ts'

// Builds the images by the Dockerfile's own commands and runs their own entrypoints, each in a root of its own that cannot be
// written, as user 65532, until a farm of them has rendered a picture. Needs root and npm's registry, and no container engine.
const ROOT = path.resolve(import.meta.dirname, '..', '..')
const KEYS = { accessKeyId: 'images', secretAccessKey: 'images-on-loopback' }
const PROVEN = ['coordinator', 'gateway', 'worker-cpu'] as const
const STOP_WITHIN_MS = 30_000

if (process.getuid?.() !== 0) throw new Error('only root can give a process a root of its own')
await using stack = new AsyncDisposableStack()
const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-images-'))
stack.defer(() => rmSync(folder, { recursive: true, force: true }))
const say = (text: string): void => console.log(text)

const stages = stagesOf()
const context = path.join(folder, 'src')
copyContext(context)
const run = (command: string, out: string): void => {
  execFileSync('sh', ['-ec', command.replaceAll('/out', out)], { cwd: context, stdio: 'inherit' })
}
for (const command of commandsOf(stages.get('build')!)) run(command, '')
const rootOf = (image: string): string => path.join(folder, image)
for (const image of PROVEN) {
  for (const command of commandsOf(stages.get(`stage-${image}`)!)) run(command, rootOf(image))
  const mib = Number(execFileSync('du', ['-sm', rootOf(image)], { encoding: 'utf8' }).split('\t')[0])
  layBase(rootOf(image))
  say(`${image}: ${mib} MiB over its base`)
}

const s3 = stack.use(await startS3Server({ directory: path.join(folder, 's3'), fsync: false, ...KEYS }))
const nats = stack.use(await startNatsServer({ directory: path.join(folder, 'nats') }))
const bucket = 'darkroom'
const store = stack.use(
  ObjectStore.open({ endpoint: s3.url, region: 'us-east-1', bucket, forcePathStyle: true, ...KEYS }),
)
await store.ensureBucket()
await pushCheckpoint(store, path.join(ROOT, 'deploy/checkpoints/emoji-sd'), { name: 'emoji-sd', tag: 'latest' })

const coordinatorPort = await freePort()
const coordinators = `127.0.0.1:${coordinatorPort}`
const common = {
  DARKROOM_S3_ENDPOINT: s3.url,
  DARKROOM_S3_BUCKET: bucket,
  DARKROOM_S3_ACCESS_KEY_ID: KEYS.accessKeyId,
  DARKROOM_S3_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
  DARKROOM_NATS_URL: nats.url,
}
/** What is so on this machine alone: addresses and ports. The rest is the image's. */
const ENVIRONMENT: Readonly<Record<(typeof PROVEN)[number], Record<string, string>>> = {
  coordinator: {
    DARKROOM_COORDINATOR_HOST: '127.0.0.1',
    DARKROOM_COORDINATOR_PORT: String(coordinatorPort),
    DARKROOM_COORDINATOR_ADMIN_PORT: '0',
  },
  gateway: {
    DARKROOM_GATEWAY_HOST: '127.0.0.1',
    DARKROOM_GATEWAY_PORT: '0',
    DARKROOM_GATEWAY_ADMIN_PORT: '0',
    DARKROOM_GATEWAY_COORDINATORS: coordinators,
  },
  'worker-cpu': {
    DARKROOM_WORKER_HOST: '127.0.0.1',
    DARKROOM_WORKER_PORT: '0',
    DARKROOM_WORKER_ADMIN_PORT: '0',
    DARKROOM_WORKER_COORDINATORS: coordinators,
  },
}

const running: [string, Sealed][] = []
stack.defer(() => running.forEach(([, { child }]) => child.kill('SIGKILL')))
let gatewayUrl = ''
for (const image of PROVEN) {
  const sealed = startSealed(rootOf(image), settingsOf(stages.get(image)!), { ...common, ...ENVIRONMENT[image] })
  running.push([image, sealed])
  const ready = await sealed.said('ready')
  const { status } = await fetch(`http://127.0.0.1:${Number(ready['adminPort'])}/readyz`)
  if (status !== 200) throw new Error(`${image}: /readyz answers ${status}`)
  assertSealed(image, sealed.child.pid!)
  if (image === 'gateway') gatewayUrl = `http://127.0.0.1:${Number(ready['httpPort'])}`
  say(`${image}: ready as user 65532 in a root that cannot be written`)
}

const client = new GatewayClient(gatewayUrl)
const { id } = await client.submitJson({ items: [{ checkpoint: 'emoji-sd', prompt: 'a red apple', seed: 1 }] })
let state = ''
for await (const batch of client.follow(id, AbortSignal.timeout(60_000))) state = batch.state
if (state !== 'completed') throw new Error(`the farm of images did not render its picture: ${state}`)
say('a farm of the three rendered a picture')

for (const [image, sealed] of running.toReversed()) {
  const startedAt = performance.now()
  const code = await sealed.stop()
  const tookMs = performance.now() - startedAt
  if (code !== 0 || tookMs > STOP_WITHIN_MS)
    throw new Error(`${image} left with ${code} after ${Math.round(tookMs)} ms`)
}
say('each left with 0 when asked to, without a complaint')

/** @throws Error where the process has another user, a capability, or a root that it might write */
function assertSealed(image: string, pid: number): void {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  for (const line of ['Uid:\t65532\t65532\t65532\t65532', 'CapEff:\t0000000000000000', 'NoNewPrivs:\t1'])
    if (!status.includes(line)) throw new Error(`${image}: wanted ${line} in\n${status}`)
  const root = readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[4] === '/')
  if (root === undefined || !root.split(' ')[5]!.split(',').includes('ro'))
    throw new Error(`${image}: its root is ${root}`)
}
