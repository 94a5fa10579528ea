import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { createGrpcClient, createLogger, FarmNats, Metrics, readConfig, startGrpcServer } from '@darkroom/chassis'
import type { ShardDelivery } from '@darkroom/chassis'
import { createEvents, WorkerLinks } from '@darkroom/coordinator/internal'
import { CoordinatorService, imageName, keys, ShardCompletionSchema, WorkerLinkService } from '@darkroom/proto'
import type { AttachRequestSchema, CommitRecord } from '@darkroom/proto'
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { Batches } from '../../services/coordinator/src/batches.ts'
import { COORDINATOR_VARIABLES } from '../../services/coordinator/src/config.ts'
import { Leadership } from '../../services/coordinator/src/leadership.ts'
import { registerServices } from '../../services/coordinator/src/rpc/mod.ts'
import { Watchers } from '../../services/coordinator/src/watchers.ts'
import { MemoryStore } from './memory-store.ts'
import { timed } from './statistics.ts'

const HEARTBEAT_MS = 500
const SHARDS_IN_HAND = 2
const PULL_EXPIRES_MS = 5_000
const LOG = createLogger('bench', 'silent')

export interface NullFarmOptions {
  readonly natsUrl: string
  readonly workers: number
  readonly targetShardSeconds: number
  readonly itemSeconds: number
}

/** The coordinator as its service starts it, over a store in memory, and workers that render nothing. */
export class NullFarm implements AsyncDisposable {
  readonly store = new MemoryStore()
  readonly #itemSeconds: number
  readonly #parts = new AsyncDisposableStack()
  readonly #stop = new AbortController()
  #shardEnded = (): void => {}
  #batchEnded = (): void => {}
  #submit: (batchId: string) => Promise<void> = async () => {}

  private constructor({ itemSeconds }: NullFarmOptions) {
    this.#itemSeconds = itemSeconds
  }

  static async start(options: NullFarmOptions): Promise<NullFarm> {
    const farm = new NullFarm(options)
    const address = await farm.#startCoordinator(options)
    for (let n = 0; n < options.workers; n++) await farm.#startWorker(`w${n}`, address, options.natsUrl)
    return farm
  }

  /**
   * Runs an accepted batch to its end, and takes it out of the store.
   * @returns seconds from its submit until the last of its shards was counted; its files are written afterwards
   */
  async run(batchId: string, shards: number): Promise<number> {
    const [counted, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let left = shards
    this.#shardEnded = () => {
      if (--left === 0) counted.resolve()
    }
    this.#batchEnded = ended.resolve
    const seconds = await timed(async () => {
      await this.#submit(batchId)
      await counted.promise
    })
    await ended.promise
    if (left !== 0) throw new Error(`batch ${batchId} had ${shards - left} shards, not ${shards}`)
    const stored = await Array.fromAsync(this.store.list(keys.batchFolder(batchId)))
    await this.store.deleteMany(stored.map(({ key }) => key))
    return seconds
  }

  async #startCoordinator({ natsUrl, targetShardSeconds }: NullFarmOptions): Promise<string> {
    const nats = this.#parts.use(await FarmNats.connect({ servers: natsUrl, name: 'coordinator' }, LOG))
    const store = this.store.asObjectStore()
    const config = readConfig(COORDINATOR_VARIABLES, {
      DARKROOM_NATS_URL: natsUrl,
      DARKROOM_S3_BUCKET: 'memory',
      DARKROOM_COORDINATOR_HEARTBEAT_INTERVAL_MS: String(HEARTBEAT_MS),
      DARKROOM_COORDINATOR_TARGET_SHARD_SECONDS: String(targetShardSeconds),
    })
    const [links, watchers] = [new WorkerLinks(), new Watchers()]
    const counted = createEvents(new Metrics(), LOG)
    const events: typeof counted = {
      ...counted,
      shardEnded: (...ended) => {
        counted.shardEnded(...ended)
        this.#shardEnded()
      },
      batchEnded: (...ended) => {
        counted.batchEnded(...ended)
        this.#batchEnded()
      },
    }
    const leadership = new Leadership({
      config,
      identity: randomUUID(),
      store,
      nats,
      links,
      watchers,
      events,
      onPurged: () => {},
      log: LOG,
    })
    const context = {
      leadership,
      batches: new Batches(store),
      watchers,
      links,
      store,
      events,
      pricePerDeviceSecond: 0,
      pools: config.pools,
    }
    const services = registerServices(context)
    const grpc = this.#parts.use(await startGrpcServer({ host: '127.0.0.1', port: 0, services, log: LOG }))
    this.#parts.use(leadership)
    const address = `127.0.0.1:${grpc.port}`
    const leads = Promise.withResolvers<void>()
    leadership.start(address, (isLeader) => {
      for (const { typeName } of [CoordinatorService, WorkerLinkService]) grpc.setServing(typeName, isLeader)
      if (isLeader) leads.resolve()
    })
    await leads.promise
    await leadership.farm()
    const client = this.#parts.use(createGrpcClient(CoordinatorService, [address], { defaultTimeoutMs: 10_000 }))
    this.#submit = async (batchId) => void (await client.submitBatch({ batchId }))
    return address
  }

  async #startWorker(id: string, address: string, natsUrl: string): Promise<void> {
    const { signal } = this.#stop
    const nats = this.#parts.use(await FarmNats.connect({ servers: natsUrl, name: id }, LOG))
    const link = this.#parts.use(createGrpcClient(WorkerLinkService, [address], { defaultTimeoutMs: 10_000 }))
    const held = new Set<ShardDelivery>()
    const report = async function* (): AsyncGenerator<MessageInitShape<typeof AttachRequestSchema>> {
      while (!signal.aborted) {
        const running = [...held].map(({ assignment: { batchId, shardId, attempt } }) => ({
          batchId,
          shardId,
          attempt,
        }))
        yield { worker: { id, pool: 'default', running } }
        await delay(HEARTBEAT_MS, undefined, { signal }).catch(() => {})
      }
    }
    const attached = Array.fromAsync(link.attach(report(), { signal })).catch(() => {})
    const pulls = this.#pull(id, nats, held)
    this.#parts.defer(async () => void (await Promise.all([attached, pulls])))
  }

  /** As services/worker: at most two in hand. */
  async #pull(id: string, nats: FarmNats, held: Set<ShardDelivery>): Promise<void> {
    const { signal } = this.#stop
    let hasRoom = Promise.withResolvers<void>()
    while (!signal.aborted) {
      const delivery = await nats.nextShard(id, { expiresMs: PULL_EXPIRES_MS, signal })
      if (delivery === null) continue
      held.add(delivery)
      void this.#handle(id, nats, delivery).finally(() => {
        held.delete(delivery)
        hasRoom.resolve()
      })
      if (held.size < SHARDS_IN_HAND) continue
      await hasRoom.promise
      hasRoom = Promise.withResolvers()
    }
  }

  async #handle(workerId: string, nats: FarmNats, delivery: ShardDelivery): Promise<void> {
    const { store } = this
    const { batchId, shardId, attempt, checkpoint, items } = delivery.assignment
    const key = keys.result(batchId, shardId)
    await Promise.all([store.head(key), store.get(keys.progress(batchId, shardId))])
    const now = new Date().toISOString()
    const sha256 = '0'.repeat(64)
    const seconds = this.#itemSeconds
    const record: CommitRecord = {
      kind: 'rendered',
      batchId,
      shardId,
      attempt,
      committedAt: now,
      startedAt: now,
      workerId,
      checkpoint,
      deviceSeconds: seconds * items.length,
      items: items.map(({ index, customId, scheduler, numInferenceSteps, seed, width, height }) => {
        const name = imageName(index, 0, sha256, 'png')
        const images = [{ n: 0, seed: Number(seed), name, sha256, bytes: 1, width, height }]
        return { index, customId, state: 'rendered', scheduler, numInferenceSteps, seconds, warnings: [], images }
      }),
    }
    const committed = (await store.putIfAbsent(key, JSON.stringify(record))) === 'created'
    const forgotten = store.delete(keys.progress(batchId, shardId))
    await nats.publishCompletion(create(ShardCompletionSchema, { batchId, shardId, attempt, workerId, committed }))
    await delivery.ack()
    await forgotten
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#parts.disposeAsync()
  }
}
