export { defaultSize } from './checkpoints/default-size.ts'
export { describeCheckpoint } from './checkpoints/describe.ts'
export type { CheckpointDescription } from './checkpoints/describe.ts'
export type { Conditioning, Family, TaskDefaults, Tensor, Tensors, TextEncoder } from './families/family.ts'
export { FAMILIES } from './families/registry.ts'
export type { FamilyName } from './families/registry.ts'
export { toLatentDepth } from './images/depth-map.ts'
export type { DepthMap } from './images/depth-map.ts'
export { pasteBack } from './images/inpainting-crop.ts'
export { fitSketch, sketch, sketchLatents, sketchPicture } from './images/latent-sketch.ts'
export type { LatentSketch } from './images/latent-sketch.ts'
export { parsePixelValuesConfig, toPixelValues } from './images/pixel-values.ts'
export type { PixelValuesConfig } from './images/pixel-values.ts'
export { toLuminance } from './images/raster.ts'
export type { Box, Raster } from './images/raster.ts'
export { toRgb8 } from './images/rgb8.ts'
export { isFlagged } from './images/safety.ts'
export type { SafetyScores } from './images/safety.ts'
export type { ImageRequest } from './pipelines/image-request.ts'
export { encoderInputs, inpaintingCrop } from './pipelines/inputs.ts'
export type { EncodedInputs, EncoderInputs } from './pipelines/inputs.ts'
export {
  advanceLane,
  createLane,
  decoderInput,
  finishedSteps,
  inputShape,
  isFinished,
  latentImage,
  outputSize,
  scaledLatentImage,
  restoreLane,
  rowsOf,
  snapshotLane,
  stepsLeft,
  timestepOf,
  writeModelInput,
} from './pipelines/lane.ts'
export type { Lane, LaneState } from './pipelines/lane.ts'
export { openRequest } from './pipelines/opening.ts'
export type { Opening } from './pipelines/opening.ts'
export { ParameterError } from './pipelines/parameter-error.ts'
export { denormalizeLatents, normalizeLatents } from './pipelines/model-spec.ts'
export type { LatentNormalization, ModelSpec } from './pipelines/model-spec.ts'
export { drawNoise } from './random/draw-noise.ts'
export type { BrownianDemand, NoiseDemand } from './random/draw-noise.ts'
export { TorchGenerator } from './random/torch-generator.ts'
export type { GeneratorState } from './random/torch-generator.ts'
export { resolveSchedulerAlias, SAMPLERS, SPACINGS } from './schedulers/aliases.ts'
export type { SchedulerAlias } from './schedulers/aliases.ts'
export type { ConfigKey } from './schedulers/config.ts'
export { schedulerFromConfig } from './schedulers/from-config.ts'
export type { SchedulerChoice } from './schedulers/from-config.ts'
export { isSchedulerName, SCHEDULERS } from './schedulers/registry.ts'
export type { SchedulerName } from './schedulers/registry.ts'
export type {
  AnyScheduler,
  Plan,
  PlanOptions,
  PlanRequest,
  Scheduler,
  SchedulerFacts,
  StepOptions,
} from './schedulers/scheduler.ts'
export { isTaskName, TASKS } from './tasks/registry.ts'
export type { TaskName } from './tasks/registry.ts'
export type { Parameters, ParameterSchema, Task } from './tasks/task.ts'
