import { flag, oneOf, optional, secret, text, url } from './config.ts'
import type { Values } from './config.ts'
import { DarkroomError } from './errors.ts'
import { LOG_LEVELS } from './log.ts'
import type { ObjectStoreConfig } from './object-store.ts'

/** Variables that every service reads; spread into its own table. */
export const COMMON_VARIABLES = {
  logLevel: oneOf('DARKROOM_LOG_LEVEL', 'least level that is logged', LOG_LEVELS, 'info'),
} as const

export const NATS_VARIABLES = {
  natsUrl: text('DARKROOM_NATS_URL', 'nats-server, comma-separated where there are several', 'nats://127.0.0.1:4222'),
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
