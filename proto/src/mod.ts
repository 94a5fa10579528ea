export * from '../gen/darkroom/v1/item_pb.ts'
export * from '../gen/darkroom/v1/coordinator_pb.ts'
export * from '../gen/darkroom/v1/worker_pb.ts'
export { differenceOf } from './difference.ts'
export type { Difference } from './difference.ts'
export { findPlanned, halfIdsOf, halvesOf, isHalf, readShard } from './halves.ts'
export { dayOf, imageName, isInputPictureKey, isInputPictureKeyOf, keys, shardIdOf } from './keys.ts'
export {
  commonRanges,
  countItems,
  formatItemRanges,
  includesItem,
  joinRanges,
  MAX_ITEM_RANGES,
  parseItemRanges,
  rangesOf,
  rangesOfMessages,
  rangesToMessages,
  withoutRanges,
} from './item-ranges.ts'
export type { ItemRanges } from './item-ranges.ts'
export { OUTPUT_FORMATS, parseOutputFormat } from './output-format.ts'
export type { OutputFormat } from './output-format.ts'
export { schedulerImagesOf } from './scheduler-images.ts'
export { batchVersion } from './batch-version.ts'
export * from './subjects.ts'
export { PRIOR_SECONDS_BETWEEN_LOSSES } from './loss-prior.ts'
export { formatPin, isCheckpointName, parsePin, parseTag } from './pin.ts'
export type { Pin } from './pin.ts'
export { CANCELLED, SEGMENT_ITEMS } from './documents.ts'
export type {
  BatchDocument,
  CancelDocument,
  CheckpointManifest,
  CommitRecord,
  CompletedDocument,
  ControlDocument,
  DoneDocument,
  ErrorLine,
  FailedImage,
  InputPart,
  ItemLine,
  ItemResult,
  LedgerCheckpoint,
  LedgerDocument,
  ManifestFile,
  OutputLine,
  PlannedShard,
  PlanSegment,
  RenderedImage,
  ResultFile,
  TagDocument,
  WebhookDocument,
  WorkerDayDocument,
} from './documents.ts'
