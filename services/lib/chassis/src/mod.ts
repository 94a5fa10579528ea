export { startAdminServer } from './admin.ts'
export type { AdminServer } from './admin.ts'
export { fetchCheckpoint } from './checkpoints/fetch.ts'
export { listCheckpoints } from './checkpoints/list.ts'
export { readManifest } from './checkpoints/manifest.ts'
export { parsePythonJson } from './checkpoints/python-json.ts'
export { pushCheckpoint } from './checkpoints/push.ts'
export { readCheckpointConfigs } from './checkpoints/configs.ts'
export { resolveCheckpoint } from './checkpoints/resolve.ts'
export {
  flag,
  folders,
  integer,
  list,
  number,
  oneOf,
  optional,
  readConfig,
  Secret,
  secret,
  text,
  url,
} from './config.ts'
export type { Values, Variable, VariableTable } from './config.ts'
export { DarkroomError, ERROR_CODES, isErrorCode, nullIfNotFound } from './errors.ts'
export type { ErrorCode, Problem } from './errors.ts'
export type { PictureTexts } from './exif.ts'
export { createGrpcClient, implement, startGrpcServer } from './grpc/mod.ts'
export type {
  CallContext,
  CallOptions,
  Client,
  ClientTls,
  GrpcServer,
  ServiceImpl,
  ServiceRegistration,
} from './grpc/mod.ts'
export { LeaderLease } from './leader.ts'
export type { LeaderOptions } from './leader.ts'
export { runService } from './lifecycle.ts'
export { Limit } from './limit.ts'
export { createLogger } from './log.ts'
export type { Logger, LogLevel } from './log.ts'
export { findMetricProblems, Metrics } from './metrics.ts'
export type { Counter, Gauge, Histogram } from './metrics.ts'
export { FarmNats } from './nats.ts'
export type { NatsConfig, ShardDelivery } from './nats.ts'
export { ObjectStore } from './object-store.ts'
export type { ObjectStoreConfig } from './object-store.ts'
export { alphaAsMask, decodePicture, inspectPicture, PICTURE_LIMITS } from './pictures.ts'
export type { PictureFacts, RgbPicture } from './pictures.ts'
export { withPngText } from './png.ts'
export { probeConditionalWrites } from './probe-store.ts'
export { readPictureTexts } from './read-picture-texts.ts'
export { DEFAULT_TERMS, isTenantName, tenantsFile } from './tenants-file.ts'
export type { TenantsFile, TenantTerms } from './tenants-file.ts'
export type { Role } from './tls/roles.ts'
export { TlsFiles } from './tls/tls-files.ts'
export { describeSpan, fail, inSpan, SpanKind, startRequestSpan, traceparentNow } from './tracing/spans.ts'
export type { Span } from './tracing/spans.ts'
export { startTracing } from './tracing/tracing.ts'
export { COMMON_VARIABLES, NATS_VARIABLES, natsConfigFrom, STORE_VARIABLES, storeConfigFrom } from './variables.ts'
export { withJpegExif, withWebpExif } from './with-exif.ts'
