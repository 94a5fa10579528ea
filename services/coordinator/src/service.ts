import {
  createLogger,
  FarmNats,
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
import { CoordinatorService, WorkerLinkService } from '@darkroom/proto'
import { randomUUID } from 'node:crypto'
import { Batches } from './batches.ts'
import type { CoordinatorConfig } from './config.ts'
import { createEvents } from './events.ts'
import { Leadership } from './leadership.ts'
import { registerServices } from './rpc/mod.ts'
import { Watchers } from './watchers.ts'
import { WorkerLinks } from './worker-links.ts'

/** Starts a coordinator: a leader, or a standby until the lease is free. */
export async function start(config: CoordinatorConfig): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack()
  const log = createLogger('coordinator', config.logLevel)
  const metrics = new Metrics()
  const events = createEvents(metrics, log)
  events.priced(config.pricePerDeviceSecond)
  events.leading(false)

  stack.use(await startTracing({ config, service: 'darkroom-coordinator', instance: null, metrics: metrics, log }))
  const tls = stack.use(TlsFiles.open(config, log))
  const store = stack.use(
    ObjectStore.open(storeConfigFrom(config), { onRequest: (...request) => events.storeRequested(...request) }),
  )
  await store.checkBucket()
  await probeConditionalWrites(store)
  const natsConfig = { ...natsConfigFrom(config, { name: 'coordinator', tls }), replicas: config.natsReplicas }
  const nats = stack.use(await FarmNats.connect(natsConfig, log))

  const links = new WorkerLinks()
  const watchers = new Watchers()
  const batches = new Batches(store)
  const onPurged = (batchId: string): void => batches.forget(batchId)
  const parts = { store, nats, links, watchers, events, onPurged, log }
  const leadership = new Leadership({ config, identity: randomUUID(), ...parts })
  const { pools, pricePerDeviceSecond } = config
  const context = { leadership, batches, watchers, links, store, events, pools, pricePerDeviceSecond }
  const grpc = stack.use(
    await startGrpcServer({ host: config.host, port: config.port, services: registerServices(context), tls, log }),
  )
  stack.use(leadership)
  grpc.setServing('', true)
  leadership.start(`${config.host}:${grpc.port}`, (isLeader) => {
    for (const { typeName } of [CoordinatorService, WorkerLinkService]) grpc.setServing(typeName, isLeader)
  })
  const admin = stack.use(
    await startAdminServer({
      host: config.host,
      port: config.adminPort,
      metrics,
      // A standby is ready to take over; that it does not lead is told by its health service and by NOT_LEADER.
      isReady: () => nats.isConnected(),
      beforeScrape: () => {
        events.natsConnected(nats.isConnected())
        events.observe(leadership.farmNow()?.state ?? null, Date.now())
      },
      log,
    }),
  )
  log.info({ grpcPort: grpc.port, adminPort: admin.port }, 'ready')
  return stack.move()
}
