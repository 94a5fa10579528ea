/** The second door: what simulations and benchmarks run without a server around it. */
export { decide } from './core/decide.ts'
export { noCounts } from './core/counts.ts'
export type { FarmCommand, FarmEvent, SegmentSummary } from './core/messages.ts'
export { NO_NEEDS } from './core/needs.ts'
export { createState } from './core/state.ts'
export type { FarmState } from './core/state.ts'
export { BatchReader } from './planner/batch-reader.ts'
export { planSegment } from './planner/plan-segment.ts'
