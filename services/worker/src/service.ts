import { create } from '@bufbuild/protobuf'
import { timestampNow } from '@bufbuild/protobuf/wkt'
import {
  createLogger,
  FarmNats,
  implement,
  Metrics,
  ObjectStore,
  startAdminServer,
  startGrpcServer,
  storeConfigFrom,
} from '@darkroom/chassis'
import { WorkerSchema, WorkerService, WorkerState } from '@darkroom/proto'
import type { Worker } from '@darkroom/proto'
import { setTimeout as delay } from 'node:timers/promises'
import packageJson from '../package.json' with { type: 'json' }
import { CheckpointShelf } from './checkpoint-shelf.ts'
import type { WorkerConfig } from './config.ts'
import { watchGpu } from './device/nvidia-smi.ts'
import type { GpuReading } from './device/nvidia-smi.ts'
import { Engine } from './engine/engine.ts'
import { createEvents } from './events.ts'
import { CoordinatorLink } from './link/coordinator-link.ts'
import { describe } from './rpc/describe.ts'
import { drain } from './rpc/drain.ts'
import { Limit } from './shards/limit.ts'
import { ShardLoop } from './shards/shard-loop.ts'
import { Lifecycle } from './state.ts'

const UPLOADS_AT_ONCE = 8
const ENSURE_RETRY_MS = 1_000

/** Starts a worker: the parts in order of need; disposed in reverse, after a drain. */
export async function start(config: WorkerConfig, signal: AbortSignal): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack()
  const log = createLogger('worker', config.logLevel).child({ workerId: config.workerId })
  const metrics = new Metrics()
  const events = createEvents(metrics, log)
  const lifecycle = new Lifecycle(log)
  const connectedAt = timestampNow()

  const store = stack.use(ObjectStore.open(storeConfigFrom(config), { onRequest: events.storeRequested }))
  await store.checkBucket()
  await store.probeConditionalWrites()
  const nats = stack.use(await FarmNats.connect({ servers: config.natsUrl, name: config.workerId }, log))
  await nats.ensureStreams([config.pool])

  let loop: ShardLoop | null = null
  const engine = stack.use(
    await Engine.start(config, {
      ticked: (tick) => {
        events.ticked(engine.device, tick)
        loop?.ticked(tick)
      },
      stageTaken: (stage, _pin, seconds) => events.stageTaken(stage, seconds),
      died: (err) => {
        log.fatal({ err }, 'the engine died')
        process.kill(process.pid, 'SIGTERM')
      },
    }),
  )
  events.deviceChosen(engine.device)

  let gpu: GpuReading | null = null
  if (engine.device.kind !== 'cpu') {
    stack.use(
      watchGpu(config.deviceOrdinal, (reading) => {
        gpu = reading
        events.gpuRead(reading, config.deviceOrdinal)
      }),
    )
  }

  const shelf = new CheckpointShelf(store, engine, events, config.cacheDir)
  const shards = new ShardLoop({
    engine,
    store,
    events,
    uploads: new Limit(UPLOADS_AT_ONCE),
    nats,
    shelf,
    log,
    workerId: config.workerId,
    pool: config.pool,
  })
  loop = shards

  let address = ''
  const current = (): Worker => {
    if (lifecycle.state === WorkerState.IDLE || lifecycle.state === WorkerState.RENDERING) {
      lifecycle.to(shards.held.length > 0 ? WorkerState.RENDERING : WorkerState.IDLE)
    }
    return create(WorkerSchema, {
      id: config.workerId,
      state: lifecycle.state,
      pool: config.pool,
      version: packageJson.version,
      device: {
        kind: engine.device.kind,
        name: gpu?.name ?? engine.device.name,
        memoryBytes: BigInt(gpu?.memoryTotalBytes ?? 0),
        reason: engine.device.reason,
      },
      residentCheckpoints: [...shelf.resident],
      running: shards.held.map(({ assignment, stepsDone, stepsTotal }) => ({
        batchId: assignment.batchId,
        shardId: assignment.shardId,
        attempt: assignment.attempt,
        stepsDone,
        stepsTotal,
      })),
      ...(gpu !== null && {
        gpu: {
          utilizationRatio: gpu.utilizationRatio,
          memoryUsedBytes: BigInt(gpu.memoryUsedBytes),
          memoryTotalBytes: BigInt(gpu.memoryTotalBytes),
          powerWatts: gpu.powerWatts,
          temperatureCelsius: gpu.temperatureCelsius,
        },
      }),
      connectedAt,
      seenAt: timestampNow(),
      imagesRendered: BigInt(events.imageCount),
      busySeconds: events.busySeconds,
      address,
    })
  }
  let draining: Promise<void> | null = null
  const drainOnce = (): Promise<void> => {
    lifecycle.to(WorkerState.DRAINING)
    return (draining ??= shards.drain(config.graceMs))
  }

  const grpc = stack.use(
    await startGrpcServer({
      host: config.host,
      port: config.port,
      services: [implement(WorkerService, { describe: describe(current), drain: drain(drainOnce) })],
      log,
    }),
  )
  address = `${config.host}:${grpc.port}`
  const isReady = (): boolean =>
    nats.isConnected() && lifecycle.state !== WorkerState.STARTING && lifecycle.state !== WorkerState.DRAINING
  const admin = stack.use(await startAdminServer({ host: config.host, port: config.adminPort, metrics, isReady, log }))

  lifecycle.to(WorkerState.IDLE)
  stack.use(
    new CoordinatorLink({
      coordinators: config.coordinators,
      describe: current,
      onCancel: (batchId, shardId) => shards.cancel(batchId, shardId),
      onDrain: () => void drainOnce(),
      events,
    }),
  )
  shards.start()
  stack.defer(drainOnce)
  keepStreams(nats, config.pool, signal, log)
  for (const service of ['', WorkerService.typeName]) grpc.setServing(service, true)
  log.info({ grpcPort: grpc.port, adminPort: admin.port }, 'ready')
  return stack.move()
}

/** NATS may lose its storage while no coordinator is there: the worker's consumer is made again after each reconnect. */
function keepStreams(nats: FarmNats, pool: string, signal: AbortSignal, log: ReturnType<typeof createLogger>): void {
  nats.onReconnect(() => {
    void (async () => {
      while (!signal.aborted) {
        try {
          return void (await nats.ensureStreams([pool]))
        } catch (err) {
          log.debug({ err }, 'the streams cannot be made yet')
          await delay(ENSURE_RETRY_MS, undefined, { signal }).catch(() => {})
        }
      }
    })()
  })
}
