import { flag, oneOf, optional, secret, text, url } from './config.ts'
import type { Values } from './config.ts'
import { DarkroomError } from './errors.ts'
import { LOG_LEVELS } from './log.ts'
import type { NatsConfig } from './nats.ts'
import type { ObjectStoreConfig } from './object-store.ts'
import type { TlsFiles } from './tls/tls-files.ts'
import { TRACING_VARIABLES } from './tracing/tracing.ts'

/** Who this process is and whom it believes, for gRPC, and for NATS where its URL is tls://; read again while it runs. */
export const TLS_VARIABLES = {
  tlsCaFile: optional(
    text('DARKROOM_TLS_CA_FILE', 'PEM file of the authority whose certificates are believed; none means no TLS'),
  ),
  tlsCertFile: optional(
    text(
      'DARKROOM_TLS_CERT_FILE',
      'PEM file of this process: its certificate, of spiffe://darkroom/ROLE, and the chain',
    ),
  ),
  tlsKeyFile: optional(text('DARKROOM_TLS_KEY_FILE', "PEM file of that certificate's private key")),
} as const

/** Variables that every service reads; spread into its own table. */
export const COMMON_VARIABLES = {
  logLevel: oneOf('DARKROOM_LOG_LEVEL', 'least level that is logged', LOG_LEVELS, 'info'),
  ...TLS_VARIABLES,
  ...TRACING_VARIABLES,
} as const

export const NATS_VARIABLES = {
  natsUrl: text(
    'DARKROOM_NATS_URL',
    'nats-server, comma-separated where there are several; tls:// demands TLS',
    'nats://127.0.0.1:4222',
  ),
  natsUser: optional(text('DARKROOM_NATS_USER', 'user of the nats-server; none means that it asks for none')),
  natsPassword: optional(secret('DARKROOM_NATS_PASSWORD', "that user's password")),
} as const

export const STORE_VARIABLES = {
  s3Endpoint: optional(url('DARKROOM_S3_ENDPOINT', 'S3 endpoint; none means AWS')),
  s3Region: text('DARKROOM_S3_REGION', 'S3 region', 'us-east-1'),
  s3Bucket: text('DARKROOM_S3_BUCKET', 'bucket of the farm'),
  s3AccessKeyId: optional(
    secret('DARKROOM_S3_ACCESS_KEY_ID', 'S3 access key; none means the default chain of the AWS SDK'),
  ),
  s3SecretAccessKey: optional(secret('DARKROOM_S3_SECRET_ACCESS_KEY', 'S3 secret key')),
  s3ForcePathStyle: flag('DARKROOM_S3_FORCE_PATH_STYLE', 'bucket in the path rather than in the host name', true),
} as const

/** @throws DarkroomError INVALID_CONFIG where one half of the credentials is missing */
export function natsConfigFrom(
  values: Values<typeof NATS_VARIABLES>,
  { name, tls }: { name: string; tls: TlsFiles | null },
): NatsConfig {
  const { natsUrl: servers, natsUser: user, natsPassword: password } = values
  if ((user === null) !== (password === null)) {
    const { name: field } = NATS_VARIABLES[user === null ? 'natsUser' : 'natsPassword']
    throw new DarkroomError('INVALID_CONFIG', 'half of the NATS credentials is missing', {
      problems: [{ field, message: 'is required where the other half is set' }],
    })
  }
  return { servers, name, tls, login: user === null || password === null ? null : { user, password } }
}

/** @throws DarkroomError INVALID_CONFIG where one half of the credentials is missing */
export function storeConfigFrom(values: Values<typeof STORE_VARIABLES>): ObjectStoreConfig {
  if ((values.s3AccessKeyId === null) !== (values.s3SecretAccessKey === null)) {
    const { name } = STORE_VARIABLES[values.s3AccessKeyId === null ? 's3AccessKeyId' : 's3SecretAccessKey']
    throw new DarkroomError('INVALID_CONFIG', 'half of the S3 credentials is missing', {
      problems: [{ field: name, message: 'is required where the other half of the key is set' }],
    })
  }
  return {
    endpoint: values.s3Endpoint,
    region: values.s3Region,
    bucket: values.s3Bucket,
    accessKeyId: values.s3AccessKeyId?.reveal() ?? null,
    secretAccessKey: values.s3SecretAccessKey?.reveal() ?? null,
    forcePathStyle: values.s3ForcePathStyle,
  }
}
