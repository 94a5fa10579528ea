import {
  COMMON_VARIABLES,
  flag,
  integer,
  list,
  NATS_VARIABLES,
  number,
  optional,
  secret,
  STORE_VARIABLES,
  tenantsFile,
  text,
} from '@darkroom/chassis'
import type { Values } from '@darkroom/chassis'
import { webhookKey } from './webhooks/webhook-key.ts'

export const COORDINATOR_VARIABLES = {
  ...COMMON_VARIABLES,
  ...NATS_VARIABLES,
  ...STORE_VARIABLES,
  host: text('DARKROOM_COORDINATOR_HOST', 'address that gRPC and the admin port listen on', '127.0.0.1'),
  port: integer('DARKROOM_COORDINATOR_PORT', 'gRPC port; 0 takes a free one', 50_051, { min: 0, max: 65_535 }),
  adminPort: integer(
    'DARKROOM_COORDINATOR_ADMIN_PORT',
    'port of /metrics, /livez and /readyz; 0 takes a free one',
    9_091,
    { min: 0, max: 65_535 },
  ),
  pools: list('DARKROOM_COORDINATOR_POOLS', 'worker pools that it gives work to, comma-separated', 'default'),
  tenants: tenantsFile(
    'DARKROOM_COORDINATOR_TENANTS_FILE',
    "JSON file with the terms of tenants by name, the same as the gateway's; others have weight 1 and no cap",
  ),
  natsReplicas: integer(
    'DARKROOM_COORDINATOR_NATS_REPLICAS',
    'servers of a NATS cluster that keep each stream; streams that are there already stay as they are',
    1,
    { min: 1, max: 5 },
  ),
  leaderLeaseMs: integer(
    'DARKROOM_COORDINATOR_LEADER_LEASE_MS',
    'after so long without renewal a standby takes over',
    6_000,
    { min: 1_000 },
  ),
  heartbeatIntervalMs: integer('DARKROOM_COORDINATOR_HEARTBEAT_INTERVAL_MS', 'how often workers report', 500, {
    min: 50,
  }),
  workerLeaseMs: integer(
    'DARKROOM_COORDINATOR_WORKER_LEASE_MS',
    'a worker that is silent for so long loses its shards',
    5_000,
    { min: 500 },
  ),
  progressLeaseMs: integer(
    'DARKROOM_COORDINATOR_PROGRESS_LEASE_MS',
    'a worker that holds shards and makes no progress for so long loses them; above the longest model call',
    120_000,
    { min: 1_000 },
  ),
  auditShare: number(
    'DARKROOM_COORDINATOR_AUDIT_SHARE',
    'share of the rendered shards that another worker of the same device renders again, to find one that renders other pixels',
    0,
    { min: 0, max: 1 },
  ),
  pricePerDeviceSecond: number(
    'DARKROOM_COORDINATOR_PRICE_PER_DEVICE_SECOND',
    'what quotes and the ledger ask for a second of a device, in a currency of your own; 0 for no price',
    0,
    { min: 0, max: 1_000_000 },
  ),
  keepBatchesDays: number(
    'DARKROOM_COORDINATOR_KEEP_BATCHES_DAYS',
    'batches that ended so many days ago are deleted with their pictures, the ledger stays; 0 keeps them for ever',
    0,
    { min: 0, max: 36_500 },
  ),
  webhookKey: optional(
    webhookKey(
      secret(
        'DARKROOM_COORDINATOR_WEBHOOK_SECRET',
        'signs what is told of the end of batches: whsec_ and base64, as standardwebhooks.com has it; without it nobody is told',
      ),
    ),
  ),
  webhookPrivate: flag(
    'DARKROOM_COORDINATOR_WEBHOOK_PRIVATE',
    'whether addresses of private networks, and http, may be told too',
    false,
  ),
  window: integer('DARKROOM_COORDINATOR_WINDOW', 'shards per worker that are dispatched ahead', 2, { min: 1, max: 64 }),
  targetShardSeconds: number(
    'DARKROOM_COORDINATOR_TARGET_SHARD_SECONDS',
    'device seconds that a shard is sized to',
    10,
    { min: 0.1, max: 3_600 },
  ),
} as const

export type CoordinatorConfig = Values<typeof COORDINATOR_VARIABLES>
