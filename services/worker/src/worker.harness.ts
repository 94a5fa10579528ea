import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import {
  createGrpcClient,
  createLogger,
  FarmNats,
  implement,
  ObjectStore,
  pushCheckpoint,
  readConfig,
  startGrpcServer,
} from '@darkroom/chassis'
import { startNatsServer } from '@darkroom/local'
import { startS3Server } from '@darkroom/local/s3'
import { ItemSchema, keys, ShardAssignmentSchema, WorkerLinkService, WorkerService } from '@darkroom/proto'
import type { AttachResponse, Item, Preview, ShardAssignment, ShardCompletion, Worker } from '@darkroom/proto'
import { createHash, randomUUID } from 'node:crypto'
import { EventEmitter, on, once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { WORKER_VARIABLES } from './config.ts'
import { start } from './service.ts'

const SHIPPED = path.resolve(import.meta.dirname, '../../../deploy/checkpoints')
const KEYS = { accessKeyId: 'test', secretAccessKey: 'test-secret' }
const BUCKET = 'darkroom'

type Harness = Awaited<ReturnType<typeof startHarness>>
type Order = MessageInitShape<typeof import('@darkroom/proto').AttachResponseSchema>['order']

/** All that a worker needs around it, real: nats-server, an S3 server with both shipped checkpoints, a coordinator's two ends. */
export async function startHarness() {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(path.join(os.tmpdir(), 'darkroom-worker-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const s3 = stack.use(await startS3Server({ directory: path.join(directory, 's3'), fsync: false, ...KEYS }))
  const natsServer = stack.use(await startNatsServer({ directory: path.join(directory, 'nats') }))
  const log = createLogger('harness', 'silent')
  const store = stack.use(
    ObjectStore.open({ endpoint: s3.url, region: 'us-east-1', bucket: BUCKET, forcePathStyle: true, ...KEYS }),
  )
  await store.ensureBucket()
  const sd = await pushCheckpoint(store, path.join(SHIPPED, 'emoji-sd'))
  const ddpm = await pushCheckpoint(store, path.join(SHIPPED, 'emoji-ddpm'))
  const nats = stack.use(await FarmNats.connect({ servers: natsServer.url, name: 'harness' }, log))
  await nats.ensureStreams()

  const told = new EventEmitter()
  told.setMaxListeners(0)
  const completions: ShardCompletion[] = []
  const stop = new AbortController()
  const consuming = nats.consumeCompletions(async (completion) => {
    completions.push(completion)
    told.emit('completion')
  }, stop.signal)
  stack.defer(() => {
    stop.abort()
    return consuming
  })
  const link = stack.use(await startLink())
  const moved = stack.move()
  return {
    directory,
    s3,
    natsServer,
    store,
    nats,
    sd,
    ddpm,
    link,
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
    /** The `count`-th completion of a shard. */
    async completionOf({ batchId, shardId }: ShardAssignment, count = 1): Promise<ShardCompletion> {
      const find = (): ShardCompletion | undefined =>
        completions.filter((one) => one.batchId === batchId && one.shardId === shardId)[count - 1]
      while (find() === undefined) await once(told, 'completion')
      return find()!
    },
  }
}

/** The coordinator's end of the workers' streams: what they report, and a way to order. */
async function startLink() {
  const reports = new EventEmitter()
  reports.setMaxListeners(0)
  const orders = new EventEmitter()
  const settings = { meanSecondsBetweenLosses: 0 }
  const server = await startGrpcServer({
    host: '127.0.0.1',
    port: 0,
    log: createLogger('link', 'silent'),
    services: [
      implement(WorkerLinkService, ['worker'], {
        async *attach(requests, { signal }) {
          void (async () => {
            for await (const { worker, preview } of requests) {
              if (preview === undefined) reports.emit('report', worker)
              else reports.emit('preview', preview)
            }
          })().catch(() => {})
          yield { order: { case: 'welcome', value: { heartbeatIntervalMs: 50, ...settings } } }
          try {
            for await (const [order] of on(orders, 'order', { signal }))
              yield { order: order as Order } as AttachResponse
          } catch (reason) {
            if (!signal.aborted) throw reason
          }
        },
      }),
    ],
  })
  return {
    address: `127.0.0.1:${server.port}`,
    /** What workers are told that attach from now on. */
    settings,
    order: (order: Order) => orders.emit('order', order),
    /** The first report that is as wanted. */
    async report(wanted: (worker: Worker) => boolean): Promise<Worker> {
      for (;;) {
        const [worker] = (await once(reports, 'report')) as [Worker]
        if (wanted(worker)) return worker
      }
    },
    /** Previews of a batch from now on, as they come. */
    previewsOf(batchId: string): readonly Preview[] {
      const previews: Preview[] = []
      reports.on('preview', (preview: Preview) => {
        if (preview.batchId === batchId) previews.push(preview)
      })
      return previews
    },
    /** As when the coordinator is gone. */
    stop: () => server[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** Uploads a picture as the gateway does. @returns its key */
export async function uploadPicture(store: ObjectStore, bytes: Uint8Array): Promise<string> {
  const key = keys.inputPicture('default', createHash('sha256').update(bytes).digest('hex'))
  await store.put(key, bytes)
  return key
}

/** A worker in this process, in a pool of its own. */
export async function startWorker(harness: Harness, environment: Record<string, string> = {}) {
  const pool = `pool-${randomUUID()}`
  const workerId = `worker-${randomUUID()}`
  const config = readConfig(WORKER_VARIABLES, {
    DARKROOM_LOG_LEVEL: 'silent',
    DARKROOM_NATS_URL: harness.natsServer.url,
    DARKROOM_S3_ENDPOINT: harness.s3.url,
    DARKROOM_S3_BUCKET: BUCKET,
    DARKROOM_S3_ACCESS_KEY_ID: KEYS.accessKeyId,
    DARKROOM_S3_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
    DARKROOM_WORKER_ID: workerId,
    DARKROOM_WORKER_POOL: pool,
    DARKROOM_WORKER_COORDINATORS: harness.link.address,
    DARKROOM_WORKER_PORT: '0',
    DARKROOM_WORKER_ADMIN_PORT: '0',
    DARKROOM_WORKER_CACHE_DIR: path.join(harness.directory, 'cache'),
    DARKROOM_WORKER_DEVICE: 'cpu',
    ...environment,
  })
  const attached = harness.link.report(({ id, address }) => id === workerId && address !== '')
  const service = await start(config)
  const { address } = await attached
  const client = createGrpcClient(WorkerService, address, { defaultTimeoutMs: 30_000 })
  return {
    id: workerId,
    pool,
    address,
    client,
    adminPort: service.adminPort,
    dispatch: (shard: ShardAssignment) => harness.nats.dispatchShard(workerId, shard),
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]()
      await service[Symbol.asyncDispose]()
    },
  }
}

/** A shard of a batch of its own. */
export function shardOf(
  checkpoint: string,
  items: readonly Partial<Omit<Item, '$typeName' | '$unknown'>>[],
): ShardAssignment {
  const isText = checkpoint.startsWith('emoji-sd')
  return create(ShardAssignmentSchema, {
    batchId: `b${randomUUID().replaceAll('-', '').slice(0, 22)}`,
    shardId: '00000-00000',
    attempt: 1,
    checkpoint,
    items: items.map((item, index) =>
      create(ItemSchema, {
        index,
        customId: `item-${index}`,
        checkpoint,
        task: isText ? 'text-to-image' : 'unconditional-image-generation',
        prompt: isText ? 'a red apple' : '',
        width: isText ? 64 : 32,
        height: isText ? 64 : 32,
        scheduler: isText ? 'EulerDiscreteScheduler' : 'DDIMScheduler',
        numInferenceSteps: 2,
        guidanceScale: isText ? 4 : 0,
        seed: BigInt(index),
        numImages: 1,
        ...item,
      }),
    ),
  })
}

export async function scrape(port: number, route: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://127.0.0.1:${port}${route}`)
  return { status: response.status, body: await response.text() }
}
