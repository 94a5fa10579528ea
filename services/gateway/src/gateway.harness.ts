import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import {
  createLogger,
  DarkroomError,
  implement,
  ObjectStore,
  pushCheckpoint,
  readConfig,
  startGrpcServer,
  storeConfigFrom,
} from '@darkroom/chassis'
import type { GrpcServer } from '@darkroom/chassis'
import { startS3Server } from '@darkroom/local/s3'
import type { S3Server } from '@darkroom/local/s3'
import { create } from '@bufbuild/protobuf'
import {
  ApprovalSchema,
  ApprovalState,
  BatchSchema,
  BatchState,
  batchVersion,
  CoordinatorService,
  keys,
} from '@darkroom/proto'
import type { Batch, BatchDocument, GetLedgerRequest, Item, WatchBatchRequest, Worker } from '@darkroom/proto'
import { GATEWAY_VARIABLES } from './config.ts'
import { start } from './service.ts'

const CHECKPOINTS = path.resolve(import.meta.dirname, '../../../deploy/checkpoints')

/** What became of the time of all devices, as the played coordinator tells it. */
export const FARM_TIME = {
  wallSeconds: 100,
  renderSeconds: 20,
  loadSeconds: 5,
  idleSeconds: 75,
  billedSeconds: 12.5,
  unbilledSeconds: 7.5,
}

/**
 * Plays the coordinator: a real gRPC server whose batches stand as the test puts them. A batch is known once it was
 * submitted, and is queued until the test says more.
 */
class PlayedCoordinator implements AsyncDisposable {
  readonly batches = new Map<string, Batch>()
  readonly submitted: string[] = []
  /** Whose batches were asked for, in order. */
  readonly listedTenants: string[] = []
  workers: Worker[] = []
  readonly drained: string[] = []
  ledgerAsked: GetLedgerRequest | null = null
  /** What was last asked for a quote of. */
  quoted: { readonly item: Item; readonly count: bigint }[] = []
  /** What WatchBatch streams; each test sets its own. */
  watch: (request: WatchBatchRequest, signal: AbortSignal) => AsyncIterable<{ revision: bigint; batch: Batch }> =
    async function* () {}

  #server: GrpcServer | null = null
  #port = 0

  async start(): Promise<void> {
    const impl = implement(CoordinatorService, ['gateway'], {
      submitBatch: async ({ batchId }) => {
        this.submitted.push(batchId)
        if (!this.batches.has(batchId)) this.put(batchId, {})
        return { batch: this.#find(batchId) }
      },
      getBatch: async ({ batchId }) => ({ batch: this.#find(batchId) }),
      listBatches: async ({ pageSize, pageToken, tenant }) => {
        const ids = [...this.batches.keys()].sort().toReversed()
        this.listedTenants.push(tenant)
        const from = pageToken === '' ? 0 : ids.indexOf(pageToken)
        const page = ids.slice(from, from + pageSize)
        return { batches: page.map((id) => this.#find(id)), nextPageToken: ids[from + pageSize] ?? '' }
      },
      watchBatch: (request, { signal }) => this.watch(request, signal),
      cancelBatch: async ({ batchId, ifVersion }) => {
        this.#assertVersion(batchId, ifVersion)
        return { batch: this.put(batchId, { state: BatchState.CANCELLING }) }
      },
      updateBatch: async ({ batchId, priority, paused, completeBy, approved, ifVersion, ...items }) => {
        this.#assertVersion(batchId, ifVersion)
        const { priority: before, paused: wasPaused } = this.#find(batchId)
        return {
          batch: this.put(batchId, {
            priority: priority ?? before,
            paused: paused ?? wasPaused,
            pausedItems: items.pauseItems,
            cancelledItems: items.cancelItems,
            ...(completeBy && { completeBy }),
            ...(approved && { approval: create(ApprovalSchema, { afterItems: 1, state: ApprovalState.GIVEN }) }),
          }),
        }
      },
      quoteBatch: async ({ items }) => {
        this.quoted = items.map(({ item, count }) => ({ item: item!, count }))
        return { deviceSeconds: 12, workers: 3, secondsAlone: 4, isMeasured: true }
      },
      explainItem: async ({ batchId, item }) => {
        const { paused } = this.#find(batchId)
        if (!paused) return { reason: 'running', message: `item ${item} runs`, remedy: '', shardId: '00000-00000' }
        return { reason: 'paused', message: 'its batch is paused', remedy: 'resume it', shardId: '' }
      },
      getLedger: async (request) => {
        this.ledgerAsked = request
        const sum = { deviceSeconds: 12.5, images: 4n, steps: 80n }
        return {
          lines: [{ name: 'default', ...sum, retries: 1n, loadSeconds: 3.5, failedSeconds: 0.5, price: 0.25 }],
          total: { ...sum, retries: 1n, loadSeconds: 3.5, failedSeconds: 0.5 },
          ...(request.tenant === '' && { farm: FARM_TIME }),
        }
      },
      listWorkers: async () => ({ workers: this.workers }),
      drainWorker: async ({ workerId }) => {
        if (!this.workers.some(({ id }) => id === workerId))
          throw new DarkroomError('NOT_FOUND', `no worker ${workerId}`)
        this.drained.push(workerId)
        return {}
      },
    })
    const log = createLogger('played-coordinator', 'silent')
    this.#server = await startGrpcServer({ host: '127.0.0.1', port: this.#port, services: [impl], log })
    this.#port = this.#server.port
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`
  }

  put(id: string, values: Partial<Omit<Batch, '$typeName' | 'id'>>): Batch {
    const before = this.batches.get(id) ?? create(BatchSchema, { id, state: BatchState.QUEUED })
    const batch = { ...before, ...values }
    this.batches.set(id, batch)
    return batch
  }

  /** As when the process is gone; `start` brings it back at the same address. */
  async stop(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]()
    this.#server = null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #assertVersion(id: string, wanted: string): void {
    if (wanted !== '' && wanted !== batchVersion(this.#find(id)))
      throw new DarkroomError('PRECONDITION_FAILED', `batch ${id} was changed`)
  }

  #find(id: string): Batch {
    const batch = this.batches.get(id)
    if (batch === undefined) throw new DarkroomError('NOT_FOUND', `no batch ${id}`)
    return batch
  }
}

export interface TestGateway extends AsyncDisposable {
  readonly url: string
  readonly adminUrl: string
  readonly httpPort: number
  readonly store: ObjectStore
  readonly s3: S3Server
  readonly coordinator: PlayedCoordinator
  /** Pins by name: emoji-sd and emoji-ddpm, their configs without the weights. */
  readonly pins: Readonly<Record<'emoji-sd' | 'emoji-ddpm', string>>
  /** Pushes a checkpoint's configs without its weights. @returns its pin */
  push(folder: string): Promise<string>
  post(body: string, options?: { type?: string; query?: string; headers?: Record<string, string> }): Promise<Response>
  /** Submits items that the test expects to be accepted, and returns what was stored. */
  accept(items: readonly object[]): Promise<BatchDocument>
  /** Stops the gateway alone, as SIGTERM does. */
  stopGateway(): Promise<void>
  /** Keys under batches/. */
  storedKeys(): Promise<readonly string[]>
}

/** A gateway with a real S3 server over a temporary folder and a played coordinator. */
export async function startTestGateway(
  variables: Record<string, string> = {},
  files: { readonly tenants?: object; readonly rootKey?: string } = {},
): Promise<TestGateway> {
  await using stack = new AsyncDisposableStack()
  const directory = stack.adopt(mkdtempSync(path.join(os.tmpdir(), 'darkroom-gateway-')), (folder) =>
    rmSync(folder, { recursive: true, force: true }),
  )
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test-secret' }
  const s3 = stack.use(await startS3Server({ directory: path.join(directory, 's3'), fsync: false, ...credentials }))
  const written = (name: string, text: string): string => {
    const file = path.join(directory, name)
    writeFileSync(file, text)
    return file
  }
  const coordinator = stack.use(new PlayedCoordinator())
  await coordinator.start()
  const config = readConfig(GATEWAY_VARIABLES, {
    DARKROOM_LOG_LEVEL: 'silent',
    DARKROOM_S3_ENDPOINT: s3.url,
    DARKROOM_S3_BUCKET: 'farm',
    DARKROOM_S3_ACCESS_KEY_ID: credentials.accessKeyId,
    DARKROOM_S3_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    DARKROOM_GATEWAY_PORT: '0',
    DARKROOM_GATEWAY_ADMIN_PORT: '0',
    DARKROOM_GATEWAY_GRACE_MS: '1000',
    DARKROOM_GATEWAY_COORDINATORS: coordinator.address,
    ...(files.tenants && { DARKROOM_GATEWAY_TENANTS_FILE: written('tenants.json', JSON.stringify(files.tenants)) }),
    ...(files.rootKey !== undefined && {
      DARKROOM_GATEWAY_AUTH: 'keys',
      DARKROOM_GATEWAY_ROOT_KEYS_FILE: written('root-keys', `${files.rootKey}\n`),
    }),
    ...variables,
  })
  const store = stack.use(ObjectStore.open(storeConfigFrom(config)))
  await store.ensureBucket()
  const pins = {
    'emoji-sd': await pushConfigs(store, directory, path.join(CHECKPOINTS, 'emoji-sd')),
    'emoji-ddpm': await pushConfigs(store, directory, path.join(CHECKPOINTS, 'emoji-ddpm')),
  }
  const gateway = stack.use(onceDisposed(await start(config)))
  const url = `http://127.0.0.1:${gateway.httpPort}`
  const post: TestGateway['post'] = (body, { type = 'application/json', query = '', headers = {} } = {}) =>
    fetch(`${url}/api/v1/batches${query}`, { method: 'POST', body, headers: { 'content-type': type, ...headers } })
  const running = stack.move()
  return {
    url,
    adminUrl: `http://127.0.0.1:${gateway.adminPort}`,
    httpPort: gateway.httpPort,
    store,
    s3,
    coordinator,
    pins,
    push: (folder) => pushConfigs(store, directory, folder),
    post,
    async accept(items) {
      const response = await post(JSON.stringify({ items }))
      const answer = (await response.json()) as { id: string }
      if (response.status !== 201) throw new Error(`not accepted: ${JSON.stringify(answer)}`)
      return (await store.getJson<BatchDocument>(keys.batch(answer.id)))!
    },
    stopGateway: async () => gateway[Symbol.asyncDispose](),
    async storedKeys() {
      return Array.fromAsync(store.list(keys.batches), ({ key }) => key)
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

/** The same part, whose second disposal does nothing. */
function onceDisposed<T extends AsyncDisposable>(part: T): T {
  const stack = new AsyncDisposableStack()
  stack.use(part)
  return { ...part, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

async function pushConfigs(store: ObjectStore, directory: string, folder: string): Promise<string> {
  const copy = path.join(directory, path.basename(folder))
  const isWeight = (file: string): boolean => /\.onnx$|\.onnx_data$/.test(file)
  cpSync(folder, copy, { recursive: true, filter: (file) => !isWeight(file) })
  return pushCheckpoint(store, copy)
}
