import { fastifySSE } from '@fastify/sse'
import swagger from '@fastify/swagger'
import type { FastifyDynamicSwaggerOptions, SwaggerTransform } from '@fastify/swagger'
import type { AddressInfo } from 'node:net'
import type { TObject } from 'typebox'
import {
  createGrpcClient,
  createLogger,
  ObjectStore,
  probeConditionalWrites,
  startAdminServer,
  startTracing,
  storeConfigFrom,
  TlsFiles,
} from '@darkroom/chassis'
import { CoordinatorService } from '@darkroom/proto'
import manifest from '../package.json' with { type: 'json' }
import { AuditLog } from './audit/audit-log.ts'
import { ApiKeys } from './auth/api-keys.ts'
import { authenticate } from './auth/authentication.ts'
import type { Credentials } from './auth/authentication.ts'
import { IdentityProvider } from './auth/identity-provider.ts'
import { ImageUrls } from './auth/image-urls.ts'
import { limitRates } from './auth/rate-limits.ts'
import { BatchDocuments } from './batches/batch-documents.ts'
import { SharedCalls } from './batches/shared-calls.ts'
import { CheckpointCatalog } from './checkpoints/catalog.ts'
import type { GatewayConfig } from './config.ts'
import type { CoreContext, GatewayContext } from './context.ts'
import { GatewayEvents } from './events.ts'
import { createApp } from './http/app.ts'
import { shedLoad } from './http/shed-load.ts'
import { traceRequests } from './http/trace-requests.ts'
import type { OpenWork } from './ingest/accept-batch.ts'
import { ShapeCheck } from './ingest/check-item.ts'
import { itemProperties, itemSchema } from './ingest/item-schema.ts'
import { taskParameters } from './ingest/parameters.ts'
import { createOpenAi } from './openai/mod.ts'
import { InputPictures } from './pictures/input-pictures.ts'
import { ROUTES } from './routes/mod.ts'

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
  if (config.auth === 'open') events.isOpenToAll(config.host)
  stack.use(await startTracing({ config, service: 'darkroom-gateway', instance: null, metrics: events.metrics, log }))
  const tls = stack.use(TlsFiles.open(config, log))
  const store = stack.use(
    ObjectStore.open(storeConfigFrom(config), {
      onRequest: (op, outcome, seconds) => events.storeRequested(op, outcome, seconds),
    }),
  )
  await store.checkBucket()
  await probeConditionalWrites(store)
  const coordinator = stack.use(
    createGrpcClient(CoordinatorService, config.coordinators, {
      defaultTimeoutMs: COORDINATOR_TIMEOUT_MS,
      tls: tls && { files: tls, server: 'coordinator' },
    }),
  )
  const stopping = new AbortController()
  const openWork: OpenWork = new Set()
  const app = createApp({ events, maxJsonBytes: config.maxJsonBytes, idleMs: config.idleMs })
  if (config.otlpEndpoint !== null) traceRequests(app)
  await shedLoad(app, config.maxLoopDelayMs)
  const credentials = credentialsOf(config, store)
  authenticate(app, credentials)
  await limitRates(app, config.tenants)
  await app.register(fastifySSE, { heartbeatInterval: HEARTBEAT_MS })
  await app.register(swagger, { openapi: OPENAPI, transform: asDocumented })
  const imageUrls = await ImageUrls.open(store)
  const context = contextOf({
    config,
    store,
    coordinator,
    events,
    openWork,
    credentials,
    imageUrls,
    auditLog: new AuditLog(store, events),
    stopping: stopping.signal,
  })
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
  openWork.add(context.openAi.batches.watchPending())
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
  parts: Omit<CoreContext, 'catalog' | 'pictures' | 'documents' | 'standings' | 'itemProperties' | 'intakeRules'>,
): GatewayContext {
  const { config, store, coordinator } = parts
  const parameters = taskParameters(config)
  const properties = itemProperties(parameters)
  const catalog = new CheckpointCatalog(store)
  const pictures = new InputPictures(store)
  const { defaultCheckpoint, maxItems, maxSide } = config
  const itemCheck = new ShapeCheck(itemSchema(properties))
  const context = {
    ...parts,
    catalog,
    pictures,
    documents: new BatchDocuments(store),
    standings: new SharedCalls(async (batchId) => (await coordinator.getBatch({ batchId })).batch!),
    itemProperties: properties,
    intakeRules: {
      store,
      catalog,
      itemCheck,
      parameters,
      defaultCheckpoint,
      maxItems,
      maxSide,
      tenants: config.tenants,
    },
  }
  return { ...context, openAi: createOpenAi(context) }
}

function credentialsOf(config: GatewayConfig, store: ObjectStore): Credentials {
  const { auth, rootKeys, oidcIssuer: issuer, oidcAudience: audience, oidcTenantClaim: tenantClaim } = config
  return {
    isOpen: auth === 'open',
    apiKeys: new ApiKeys(store),
    rootKeys,
    identityProvider: issuer === null ? null : new IdentityProvider({ issuer, audience, tenantClaim }),
  }
}

/** Shows the body of a route that checks it itself, and parameters that have a default as what may be left out. */
const asDocumented: SwaggerTransform = ({ schema, url, route }) => {
  const body = route.config?.documentedBody
  const querystring = schema?.querystring as TObject | undefined
  const required = querystring?.required?.filter((name) => !('default' in querystring.properties[name]!))
  return {
    schema: {
      ...schema,
      ...(body !== undefined && { body }),
      ...(querystring !== undefined && { querystring: { ...querystring, required: required ?? [] } }),
    },
    url,
  }
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
    { name: 'openai', description: 'OpenAI’s shapes: its official clients work with this base URL and /v1.' },
    { name: 'adapters', description: 'For programs that speak Hugging Face’s or A1111’s API alone.' },
    { name: 'access', description: 'Keys, tenants, and whom the gateway takes you for.' },
    { name: 'farm', description: 'Workers, checkpoints, schedulers.' },
  ],
}
