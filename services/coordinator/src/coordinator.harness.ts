import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { createGrpcClient, createLogger, DarkroomError, FarmNats, ObjectStore, readConfig } from '@darkroom/chassis'
import type { ShardDelivery } from '@darkroom/chassis'
import { freePort, startNatsServer } from '@darkroom/local'
import { startS3Server } from '@darkroom/local/s3'
import { CoordinatorService, imageName, keys, ShardCompletionSchema, WorkerLinkService } from '@darkroom/proto'
import type {
  AttachRequestSchema,
  Batch,
  BatchDocument,
  CommitRecord,
  DoneDocument,
  ItemLine,
  ShardAssignment,
  ShardQueue,
} from '@darkroom/proto'
import { createHash, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { COORDINATOR_VARIABLES } from './config.ts'
import { start } from './service.ts'

const KEYS = { accessKeyId: 'test', secretAccessKey: 'test-secret' }
const BUCKET = 'darkroom'
const POOL = 'default'
const PIN = `emoji-ddpm@sha256:${'a'.repeat(64)}`
const HEARTBEAT_MS = 50

export type Harness = Awaited<ReturnType<typeof startHarness>>

/** What coordinators need around them, real: nats-server and an S3 server. */
export async function startHarness() {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(path.join(os.tmpdir(), 'darkroom-coordinator-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const s3 = stack.use(await startS3Server({ directory: path.join(directory, 's3'), fsync: false, ...KEYS }))
  const natsServer = stack.use(await startNatsServer({ directory: path.join(directory, 'nats') }))
  const store = stack.use(
    ObjectStore.open({ endpoint: s3.url, region: 'us-east-1', bucket: BUCKET, forcePathStyle: true, ...KEYS }),
  )
  await store.ensureBucket()
  const log = createLogger('harness', 'silent')
  const nats = stack.use(await FarmNats.connect({ servers: natsServer.url, name: 'harness' }, log))
  const moved = stack.move()
  return { s3, natsServer, store, nats, [Symbol.asyncDispose]: () => moved.disposeAsync() }
}

export async function startCoordinator(
  { s3, natsServer }: Harness,
  port: number,
  environment: Readonly<Record<string, string>> = {},
): Promise<AsyncDisposable> {
  return start(
    readConfig(COORDINATOR_VARIABLES, {
      DARKROOM_LOG_LEVEL: 'silent',
      DARKROOM_NATS_URL: natsServer.url,
      DARKROOM_S3_ENDPOINT: s3.url,
      DARKROOM_S3_BUCKET: BUCKET,
      DARKROOM_S3_ACCESS_KEY_ID: KEYS.accessKeyId,
      DARKROOM_S3_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
      DARKROOM_COORDINATOR_PORT: String(port),
      DARKROOM_COORDINATOR_ADMIN_PORT: '0',
      DARKROOM_COORDINATOR_LEADER_LEASE_MS: '1000',
      DARKROOM_COORDINATOR_HEARTBEAT_INTERVAL_MS: String(HEARTBEAT_MS),
      DARKROOM_COORDINATOR_WORKER_LEASE_MS: '2000',
      ...environment,
    }),
  )
}

export async function freeAddresses(count: number): Promise<{ ports: number[]; addresses: string[] }> {
  const ports = await Promise.all(Array.from({ length: count }, () => freePort()))
  return { ports, addresses: ports.map((port) => `127.0.0.1:${port}`) }
}

/** Items of different sizes, so that each is a shard of its own, or alike, so that all are one shard. */
export async function acceptBatch(
  store: ObjectStore,
  itemCount: number,
  {
    areAlike = false,
    ...document
  }: { areAlike?: boolean } & Partial<
    Pick<BatchDocument, 'tenant' | 'isInteractive' | 'expiresAt' | 'webhook' | 'approveAfter'>
  > = {},
): Promise<string> {
  const id = `b${randomUUID().replaceAll('-', '').slice(0, 22)}`
  const items = Array.from({ length: itemCount }, (_, index): ItemLine => ({
    index,
    customId: `item-${index}`,
    task: 'unconditional-image-generation',
    checkpoint: PIN,
    prompt: '',
    negativePrompt: '',
    width: areAlike ? 32 : 32 + 8 * index,
    height: 32,
    scheduler: 'DDIMScheduler',
    schedulerConfig: {},
    numInferenceSteps: 10,
    guidanceScale: 0,
    eta: 0,
    seed: index,
    numImages: 1,
  }))
  const input = Buffer.from(items.map((item) => `${JSON.stringify(item)}\n`).join(''))
  const key = keys.inputPart(id, 0)
  const sha256 = createHash('sha256').update(input).digest('hex')
  const part = { key, firstItem: 0, itemCount, bytes: input.length, sha256, segmentOffsets: [0] }
  const batch: BatchDocument = {
    id,
    tenant: 'default',
    createdAt: new Date().toISOString(),
    itemCount,
    imageCount: itemCount,
    schedulerImages: { DDIMScheduler: itemCount },
    checkpoints: [PIN],
    ...document,
    parts: [part],
    metadata: {},
    traceparent: '',
  }
  await store.put(key, input)
  await store.put(keys.batch(id), JSON.stringify(batch))
  return id
}

/** A caller that waits while nobody leads. */
export function createCaller(addresses: readonly string[]) {
  const client = createGrpcClient(CoordinatorService, addresses, { defaultTimeoutMs: 10_000 })
  const patiently = async <T>(call: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await call()
      } catch (reason) {
        const { code } = DarkroomError.from(reason)
        if (code !== 'NOT_LEADER' && code !== 'COORDINATOR_UNAVAILABLE') throw reason
        await delay(50)
      }
    }
  }
  return {
    client,
    patiently,
    submit: (batchId: string) => patiently(() => client.submitBatch({ batchId })),
    /** Watches the batch, over every loss of the coordinator, until it has ended. */
    async end(batchId: string): Promise<Batch> {
      return patiently(async () => {
        let last: Batch | undefined
        for await (const { batch } of client.watchBatch({ batchId })) last = batch
        if (last?.endedAt === undefined) throw new DarkroomError('NOT_LEADER', 'the stream ended before the batch')
        return last
      })
    },
    [Symbol.dispose]: () => client[Symbol.dispose](),
  }
}

export async function doneOf(store: ObjectStore, batchId: string): Promise<DoneDocument> {
  return (await store.getJson<DoneDocument>(keys.done(batchId)))!
}

/** Plays a worker: attaches, takes one shard of a batch at a time, and one that somebody waits for, and writes its record. It may be held in the middle of a shard. */
export class PlayedWorker implements AsyncDisposable {
  readonly id = `worker-${randomUUID()}`
  /** Shards that it wrote the record of, and whether its record was first. */
  readonly rendered: { batchId: string; shardId: string; committed: boolean }[] = []
  readonly #harness: Harness
  readonly #stop = new AbortController()
  readonly #loops: Promise<unknown>
  readonly #link: ReturnType<typeof createGrpcClient<typeof WorkerLinkService>>
  readonly #inHand = new Set<ShardDelivery>()
  #allowed = Infinity
  /** An item that it cannot render, nor any shard with it. */
  readonly #poison: number | null
  #go = Promise.withResolvers<void>()
  #held = Promise.withResolvers<void>()

  constructor(harness: Harness, addresses: readonly string[], options: { allowed?: number; poison?: number } = {}) {
    this.#harness = harness
    this.#allowed = options.allowed ?? Infinity
    this.#poison = options.poison ?? null
    this.#link = createGrpcClient(WorkerLinkService, addresses, { defaultTimeoutMs: 10_000 })
    this.#loops = Promise.all([this.#attach(), this.#work('batch'), this.#work('now')])
  }

  /** Resolves when it has rendered what it may and holds the next shard. */
  held(): Promise<void> {
    return this.#held.promise
  }

  resume(): void {
    this.#allowed = Infinity
    this.#go.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#go.resolve()
    await this.#loops
    this.#link[Symbol.dispose]()
  }

  async #attach(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        for await (const { order } of this.#link.attach(this.#heartbeats(), { signal })) {
          if (order.case !== 'cancelShard') continue
          const { shardId } = order.value
          if ([...this.#inHand].some(({ assignment }) => assignment.shardId === shardId)) this.#go.resolve()
        }
      } catch {
        // Nobody leads, or the leader has just gone.
      }
      await delay(HEARTBEAT_MS)
    }
  }

  async *#heartbeats(): AsyncGenerator<MessageInitShape<typeof AttachRequestSchema>> {
    while (!this.#stop.signal.aborted) {
      const running = [...this.#inHand].map(({ assignment: { batchId, shardId, attempt } }) => {
        return { batchId, shardId, attempt }
      })
      yield { worker: { id: this.id, pool: POOL, running } }
      await delay(HEARTBEAT_MS)
    }
  }

  /** What somebody waits for is never held. */
  async #work(queue: ShardQueue): Promise<void> {
    const { nats } = this.#harness
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        const delivery = await nats.nextShard(this.id, { queue, expiresMs: 1_000, signal })
        if (delivery === null) continue
        this.#inHand.add(delivery)
        if (queue === 'batch' && this.rendered.length >= this.#allowed) {
          this.#held.resolve()
          await this.#go.promise
        }
        if (!signal.aborted) await this.#render(delivery)
        this.#inHand.delete(delivery)
      } catch {
        // The stream is not there at the moment.
        await delay(HEARTBEAT_MS)
      }
    }
  }

  async #render(delivery: ShardDelivery): Promise<void> {
    const { assignment } = delivery
    const isPoisonous = assignment.items.some(({ index }) => index === this.#poison)
    await this.#tell(
      assignment,
      isPoisonous ? { errorCode: 'INTERNAL' } : { committed: await this.#commit(assignment) },
    )
    // A message that was withdrawn or went down with the stream cannot be acknowledged.
    await delivery.ack().catch(() => {})
  }

  /** @returns whether its record was first */
  async #commit({ batchId, shardId, attempt, checkpoint, items }: ShardAssignment): Promise<boolean> {
    const now = new Date().toISOString()
    const sha256 = '0'.repeat(64)
    const record: CommitRecord = {
      kind: 'rendered',
      batchId,
      shardId,
      attempt,
      committedAt: now,
      startedAt: now,
      workerId: this.id,
      checkpoint,
      deviceSeconds: 0.01,
      items: items.map(({ index, customId, scheduler, numInferenceSteps, seed, width, height }) => ({
        index,
        customId,
        state: 'rendered',
        scheduler,
        numInferenceSteps,
        seconds: 0.01,
        warnings: [],
        images: [
          { n: 0, seed: Number(seed), name: imageName(index, 0, sha256, 'png'), sha256, bytes: 1, width, height },
        ],
      })),
    }
    const options = { contentType: 'application/json' }
    const key = keys.result(batchId, shardId)
    const committed = (await this.#harness.store.putIfAbsent(key, JSON.stringify(record), options)) === 'created'
    this.rendered.push({ batchId, shardId, committed })
    return committed
  }

  async #tell(
    { batchId, shardId, attempt }: ShardAssignment,
    word: { committed?: boolean; errorCode?: string },
  ): Promise<void> {
    const completion = create(ShardCompletionSchema, { batchId, shardId, attempt, workerId: this.id, ...word })
    for (let isTold = false; !isTold && !this.#stop.signal.aborted;) {
      isTold = await this.#harness.nats.publishCompletion(completion).then(
        () => true,
        () => delay(HEARTBEAT_MS, false),
      )
    }
  }
}
