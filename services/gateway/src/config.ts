import {
  COMMON_VARIABLES,
  flag,
  integer,
  list,
  oneOf,
  optional,
  STORE_VARIABLES,
  tenantsFile,
  text,
  url,
} from '@darkroom/chassis'
import type { Values } from '@darkroom/chassis'
import { rootKeysFile } from './auth/root-keys.ts'

const MIB = 1024 * 1024
const PORT = { min: 0, max: 65_535 }

export const GATEWAY_VARIABLES = {
  ...COMMON_VARIABLES,
  ...STORE_VARIABLES,
  host: text('DARKROOM_GATEWAY_HOST', 'address that HTTP and the admin port listen on', '127.0.0.1'),
  port: integer('DARKROOM_GATEWAY_PORT', 'HTTP port; 0 takes a free one', 8080, PORT),
  adminPort: integer(
    'DARKROOM_GATEWAY_ADMIN_PORT',
    'port of /metrics, /livez and /readyz; 0 takes a free one',
    9090,
    PORT,
  ),
  coordinators: list('DARKROOM_GATEWAY_COORDINATORS', 'host:port of every coordinator', '127.0.0.1:50051'),
  defaultCheckpoint: optional(
    text('DARKROOM_GATEWAY_DEFAULT_CHECKPOINT', 'checkpoint of items that name none; none means they must'),
  ),
  images: oneOf(
    'DARKROOM_GATEWAY_IMAGES',
    'how pictures are handed out: redirect to a presigned URL, or proxy where clients cannot reach the object store',
    ['redirect', 'proxy'],
    'redirect',
  ),
  maxItems: integer('DARKROOM_GATEWAY_MAX_ITEMS', 'items of one batch', 2_000_000, { min: 1, max: 4_000_000 }),
  maxJsonBytes: integer('DARKROOM_GATEWAY_MAX_JSON_BYTES', 'bytes of a JSON body; NDJSON has no limit', 16 * MIB, {
    min: 1024,
    max: 256 * MIB,
  }),
  maxLineBytes: integer('DARKROOM_GATEWAY_MAX_LINE_BYTES', 'bytes of one NDJSON line', 8 * MIB, {
    min: 1024,
    max: 32 * MIB,
  }),
  maxFileBytes: integer(
    'DARKROOM_GATEWAY_MAX_FILE_BYTES',
    'bytes of a file that is uploaded to /v1/files',
    2048 * MIB,
    { min: 1024, max: 64 * 1024 * MIB },
  ),
  maxSteps: integer('DARKROOM_GATEWAY_MAX_STEPS', 'denoising steps of an image', 1000, { min: 1, max: 1000 }),
  maxSide: integer('DARKROOM_GATEWAY_MAX_SIDE', 'pixels of width and of height', 2048, { min: 8, max: 2048 }),
  maxImages: integer('DARKROOM_GATEWAY_MAX_IMAGES', 'images of one item', 1000, { min: 1, max: 1000 }),
  tenants: tenantsFile(
    'DARKROOM_GATEWAY_TENANTS_FILE',
    "JSON file with the terms of tenants by name, the same as the coordinator's",
  ),
  auth: oneOf(
    'DARKROOM_GATEWAY_AUTH',
    'who may call: open takes everybody for the operator, keys wants an API key, a root key or an OIDC token',
    ['open', 'keys'],
    'open',
  ),
  rootKeys: rootKeysFile(
    'DARKROOM_GATEWAY_ROOT_KEYS_FILE',
    "file with the operator's own keys, one a line, which make the first API keys",
  ),
  oidcIssuer: optional(url('DARKROOM_GATEWAY_OIDC_ISSUER', 'issuer whose bearer tokens are taken as well')),
  oidcAudience: text('DARKROOM_GATEWAY_OIDC_AUDIENCE', 'what their aud must name', 'darkroom'),
  oidcTenantClaim: text('DARKROOM_GATEWAY_OIDC_TENANT_CLAIM', 'their claim that names the tenant', 'tenant'),
  webhooks: flag(
    'DARKROOM_GATEWAY_WEBHOOKS',
    'whether batches may name an address that is told of their end; set it where coordinators have DARKROOM_COORDINATOR_WEBHOOK_SECRET',
    false,
  ),
  publicUrl: optional(
    url(
      'DARKROOM_GATEWAY_PUBLIC_URL',
      'address of the gateway as its users see it, for addresses of pictures in answers; else the Host of the request',
    ),
  ),
  idleMs: integer('DARKROOM_GATEWAY_IDLE_MS', 'time after which a connection without traffic is closed', 60_000, {
    min: 1000,
  }),
  maxLoopDelayMs: integer(
    'DARKROOM_GATEWAY_MAX_LOOP_DELAY_MS',
    'average lateness of its event loop beyond which requests are refused with 503; 0: never',
    1000,
    { min: 0 },
  ),
  graceMs: integer('DARKROOM_GATEWAY_GRACE_MS', 'time for running requests after SIGTERM', 10_000, {
    min: 0,
    max: 28_000,
  }),
} as const

export type GatewayConfig = Values<typeof GATEWAY_VARIABLES>
