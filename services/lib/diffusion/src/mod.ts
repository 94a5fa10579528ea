export { describeCheckpoint } from './checkpoints/describe.ts'
export type { CheckpointDescription } from './checkpoints/describe.ts'
export {
  advanceLane,
  createLane,
  isFinished,
  isGuided,
  restoreLane,
  rowsOf,
  snapshotLane,
  stepsLeft,
  timestepOf,
  writeModelInput,
} from './pipelines/lane.ts'
export type { ImageRequest, Lane, LaneSnapshot, ModelSpec } from './pipelines/lane.ts'
export { latentsForDecoder, toRgb8 } from './pipelines/pictures.ts'
export { isTaskName, TASKS } from './pipelines/registry.ts'
export type { TaskName } from './pipelines/registry.ts'
export { stableDiffusionSchedulerConfig } from './pipelines/scheduler-config.ts'
export type { ParameterSchema, Task } from './pipelines/task.ts'
export { drawNoise } from './random/draw-noise.ts'
export type { NoiseDemand } from './random/draw-noise.ts'
export { TorchGenerator } from './random/torch-generator.ts'
export type { GeneratorState } from './random/torch-generator.ts'
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
