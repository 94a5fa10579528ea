import {
  createLogger,
  FarmNats,
  implement,
  Limit,
  Metrics,
  natsConfigFrom,
  ObjectStore,
  probeConditionalWrites,
  startAdminServer,
  startGrpcServer,
  startTracing,
  storeConfigFrom,
  TlsFiles,
} from '@darkroom/chassis'
import { workerConsumer, WorkerService, WorkerState } from '@darkroom/proto'
import { setTimeout as delay } from 'node:timers/promises'
import { CheckpointShelf } from './checkpoint-shelf.ts'
import type { WorkerConfig } from './config.ts'
import { DeviceAccount } from './device-account.ts'
import { WorkerMemory } from './device/memory.ts'
import { watchGpu } from './device/nvidia-smi.ts'
import type { GpuReading } from './device/nvidia-smi.ts'
import { PngEncoder } from './encoding/png-encoder.ts'
import { Engine } from './engine/engine.ts'
import { createEvents } from './events.ts'
import { keepCheckpoints } from './keep-checkpoints.ts'
import { CoordinatorLink } from './link/coordinator-link.ts'
import { PreviewOutbox } from './link/preview-outbox.ts'
import { describe } from './rpc/describe.ts'
import { drain } from './rpc/drain.ts'
import { PictureShelf } from './shards/picture-shelf.ts'
import { ProgressKeeper } from './shards/progress-keeper.ts'
import { ShardLoop } from './shards/shard-loop.ts'
import { Lifecycle } from './state.ts'
import { createReport } from './worker-report.ts'

const UPLOADS_AT_ONCE = 8
/** Lanes of two full calls, pictures on their way to the store, and some to spare. */
const UNSENT_IMAGES = 128
/** Room for some three hundred pictures of 512 pixels a side. */
const PICTURE_BYTES = 256 * 2 ** 20
const READY_TIMEOUT_MS = 2_000

export interface WorkerServer extends AsyncDisposable {
  readonly grpcPort: number
  readonly adminPort: number
}

/**
 * Starts a worker: the parts in order of need; disposed in reverse, after a drain.
 * It makes no stream: the coordinator must be the first to see that NATS has lost its storage.
 */
export async function start(config: WorkerConfig): Promise<WorkerServer> {
  await using stack = new AsyncDisposableStack()
  const { workerId, pool, host } = config
  const log = createLogger('worker', config.logLevel).child({ workerId })
  const metrics = new Metrics()
  const events = createEvents(metrics, log)
  const lifecycle = new Lifecycle(log)
  // The only way out that also drains; a supervisor starts the worker anew.
  const leave = (exitCode: number): void => {
    process.exitCode = exitCode
    process.kill(process.pid, 'SIGTERM')
  }

  stack.use(await startTracing({ config, service: 'darkroom-worker', instance: workerId, metrics: metrics, log }))
  const tls = stack.use(TlsFiles.open(config, log))
  const store = stack.use(
    ObjectStore.open(storeConfigFrom(config), { onRequest: (...request) => events.storeRequested(...request) }),
  )
  await store.checkBucket()
  await probeConditionalWrites(store)
  const nats = stack.use(await FarmNats.connect(natsConfigFrom(config, { name: workerConsumer(workerId), tls }), log))

  let shards: ShardLoop | null = null
  const engine = stack.use(
    await Engine.start(config, {
      ticked: (tick) => {
        events.ticked(tick)
        shards?.ticked(tick)
      },
      stageTaken: (stage, seconds) => events.stageTaken(stage, seconds),
      died: (err) => {
        log.fatal({ err }, 'the engine died')
        leave(1)
      },
    }),
  )
  events.deviceChosen(engine.device)
  const account = stack.use(new DeviceAccount({ clock: engine.clock, events }))
  const memory = new WorkerMemory(config.memoryMib, engine.device.kind)
  const png = stack.use(
    new PngEncoder((err) => {
      log.fatal({ err }, 'the PNG thread died')
      leave(1)
    }),
  )
  let reading: GpuReading | null = null
  if (engine.device.kind !== 'cpu') {
    stack.use(
      watchGpu(config.deviceOrdinal, (next) => {
        reading = next
        memory.read(next)
        events.gpuRead(next, config.deviceOrdinal)
      }),
    )
  }

  const shelf = stack.use(
    new CheckpointShelf({
      store,
      engine,
      events,
      cacheDir: config.cacheDir,
      memory,
      idleUnloadMs: config.idleUnloadS * 1000,
      maxLoads: config.maxLoads,
      wornOut: () => {
        log.info({ loads: config.maxLoads }, 'so many checkpoints were loaded that the worker starts anew')
        leave(0)
      },
    }),
  )
  stack.use(await keepCheckpoints(shelf, store, config.keptCheckpoints ?? []))
  const uploads = new Limit(UPLOADS_AT_ONCE)
  const unsent = new Limit(UNSENT_IMAGES)
  const pictures = stack.use(new PictureShelf({ store, events, capacityBytes: PICTURE_BYTES }))
  const previews = new PreviewOutbox()
  const rendering = { engine, store, events, uploads, unsent, pictures, previews, png }
  const { maxRows } = engine.settings
  const progress = new ProgressKeeper({ engine, store, events })
  let link: CoordinatorLink | null = null
  const onTaken = (): void => link?.reportNow()
  const loop = new ShardLoop({ ...rendering, nats, shelf, progress, log, workerId, maxRows, onTaken })
  shards = loop

  let draining: Promise<void> | null = null
  const drainOnce = (): Promise<void> => {
    lifecycle.to(WorkerState.DRAINING)
    return (draining ??= loop.drain(config.graceMs))
  }
  const serving = { address: '' }
  const current = createReport({
    id: workerId,
    pool,
    tags: config.tags ?? [],
    serving,
    engine,
    account,
    lifecycle,
    shelf,
    shards: loop,
    events,
    gpu: () => reading,
  })
  const grpc = stack.use(
    await startGrpcServer({
      host,
      port: config.port,
      services: [implement(WorkerService, ['cli'], { describe: describe(current), drain: drain(drainOnce) })],
      tls,
      log,
    }),
  )
  serving.address = `${host}:${grpc.port}`
  const isReady = async (): Promise<boolean> => {
    const isWorking = lifecycle.state === WorkerState.IDLE || lifecycle.state === WorkerState.RENDERING
    return isWorking && nats.isConnected() && (await answers(store))
  }
  const admin = stack.use(await startAdminServer({ host, port: config.adminPort, metrics, isReady, log }))

  lifecycle.to(WorkerState.IDLE)
  link = stack.use(
    new CoordinatorLink({
      coordinators: config.coordinators,
      tls: tls && { files: tls, server: 'coordinator' },
      describe: current,
      previews,
      onLossRate: (meanSeconds) => {
        progress.meanSecondsBetweenLosses = meanSeconds
      },
      onCancel: (order) => loop.cancel(order),
      onCancelItems: (order) => loop.cancelItems(order),
      onDrain: () => void drainOnce().then(() => leave(0)),
      events,
    }),
  )
  loop.start()
  stack.defer(drainOnce)
  for (const service of ['', WorkerService.typeName]) grpc.setServing(service, true)
  const ports = { grpcPort: grpc.port, adminPort: admin.port }
  log.info(ports, 'ready')
  const parts = stack.move()
  return { ...ports, [Symbol.asyncDispose]: () => parts.disposeAsync() }
}

async function answers(store: ObjectStore): Promise<boolean> {
  const late = new AbortController()
  const timeout = delay(READY_TIMEOUT_MS, false, { signal: late.signal }).catch(() => false)
  const answered = store.checkBucket().then(
    () => true,
    () => false,
  )
  const isReady = await Promise.race([answered, timeout])
  late.abort()
  return isReady
}
