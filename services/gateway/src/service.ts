import { fastifySSE } from '@fastify/sse'
import swagger from '@fastify/swagger'
import type { FastifyDynamicSwaggerOptions, SwaggerTransform } from '@fastify/swagger'
import type { AddressInfo } from 'node:net'
import {
  createGrpcClient,
  createLogger,
  ObjectStore,
  startAdminServer,
  storeConfigFrom,
  TlsFiles,
} from '@darkroom/chassis'
import { CoordinatorService } from '@darkroom/proto'
import manifest from '../package.json' with { type: 'json' }
import { BatchDocuments } from './batches/batch-documents.ts'
import { CheckpointCatalog } from './checkpoints/catalog.ts'
import { GATEWAY_VARIABLES } from './config.ts'
import type { GatewayConfig } from './config.ts'
import type { GatewayContext } from './context.ts'
import { GatewayEvents } from './events.ts'
import { createApp } from './http/app.ts'
import type { OpenWork } from './ingest/accept-batch.ts'
import { ShapeCheck } from './ingest/check-item.ts'
import { itemProperties, itemSchema } from './ingest/item-schema.ts'
import { taskParameters } from './ingest/parameters.ts'
import { InputPictures } from './pictures/input-pictures.ts'
import { ROUTES } from './routes/mod.ts'
import { unknownTenants } from './tenants.ts'

const COORDINATOR_TIMEOUT_MS = 10_000
const HEARTBEAT_MS = 15_000

export interface Gateway extends AsyncDisposable {
  readonly httpPort: number
  readonly adminPort: number
}

/**
 * Starts a gateway. Disposal stops accepting, ends event streams, gives running requests their grace, and waits until no
 * upload can leave half a batch behind.
 * @throws DarkroomError STORE_UNSUITABLE, STORE_UNAVAILABLE
 */
export async function start(config: GatewayConfig): Promise<Gateway> {
  await using stack = new AsyncDisposableStack()
  const log = createLogger('gateway', config.logLevel)
  const events = new GatewayEvents(log)
  const strangers = unknownTenants(config.safetyCheckerOffTenants ?? [])
  if (strangers.length > 0) events.tenantsUnknown(GATEWAY_VARIABLES.safetyCheckerOffTenants.name, strangers)
  const tls = stack.use(TlsFiles.open(config, log))
  const store = stack.use(
    ObjectStore.open(storeConfigFrom(config), {
      onRequest: (op, outcome, seconds) => events.storeRequested(op, outcome, seconds),
    }),
  )
  await store.checkBucket()
  await store.probeConditionalWrites()
  const coordinator = stack.use(
    createGrpcClient(CoordinatorService, config.coordinators, {
      defaultTimeoutMs: COORDINATOR_TIMEOUT_MS,
      tls: tls && { files: tls, server: 'coordinator' },
    }),
  )
  const stopping = new AbortController()
  const openWork: OpenWork = new Set()
  const app = createApp({ events, maxJsonBytes: config.maxJsonBytes, idleMs: config.idleMs })
  await app.register(fastifySSE, { heartbeatInterval: HEARTBEAT_MS })
  await app.register(swagger, { openapi: OPENAPI, transform: withDocumentedBody })
  const context = contextOf({ config, store, coordinator, events, openWork, stopping: stopping.signal })
  app.register(async (scope) => {
    for (const addRoute of ROUTES) addRoute(scope, context)
  })
  stack.defer(async () => {
    stopping.abort()
    const forced = setTimeout(() => app.server.closeAllConnections(), config.graceMs)
    await app.close()
    clearTimeout(forced)
    await Promise.all(openWork)
  })
  await app.listen({ host: config.host, port: config.port })
  const { port: httpPort } = app.server.address() as AddressInfo
  const isReady = (): Promise<boolean> =>
    store.checkBucket().then(
      () => true,
      () => false,
    )
  const admin = stack.use(
    await startAdminServer({ host: config.host, port: config.adminPort, metrics: events.metrics, isReady, log }),
  )
  log.info({ httpPort, adminPort: admin.port }, 'ready')
  const running = stack.move()
  return { httpPort, adminPort: admin.port, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

function contextOf(
  parts: Pick<GatewayContext, 'config' | 'store' | 'coordinator' | 'events' | 'openWork' | 'stopping'>,
): GatewayContext {
  const { config, store } = parts
  const parameters = taskParameters(config)
  const properties = itemProperties(parameters)
  const catalog = new CheckpointCatalog(store)
  const pictures = new InputPictures(store)
  const { defaultCheckpoint, maxItems, maxSide } = config
  const safetyCheckerOffTenants = config.safetyCheckerOffTenants ?? []
  const itemCheck = new ShapeCheck(itemSchema(properties))
  return {
    ...parts,
    catalog,
    pictures,
    documents: new BatchDocuments(store),
    itemProperties: properties,
    intakeRules: {
      store,
      catalog,
      itemCheck,
      parameters,
      defaultCheckpoint,
      maxItems,
      maxSide,
      safetyCheckerOffTenants,
    },
  }
}

/** Shows the body of a route that checks it itself. */
const withDocumentedBody: SwaggerTransform = ({ schema, url, route }) => {
  const body = route.config?.documentedBody
  return { schema: body === undefined ? schema : { ...schema, body }, url }
}

const OPENAPI: NonNullable<FastifyDynamicSwaggerOptions['openapi']> = {
  openapi: '3.1.0',
  info: {
    title: 'Darkroom',
    version: manifest.version,
    description: 'A render farm for diffusion models. Errors are problem details (RFC 9457).',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  tags: [
    { name: 'batches', description: 'Submit, follow, cancel.' },
    { name: 'results', description: 'Pictures and the lines about them.' },
    { name: 'farm', description: 'Workers, checkpoints, schedulers.' },
  ],
}
