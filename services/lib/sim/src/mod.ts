export { FAULT_KINDS } from './faults.ts'
export type { FaultKind } from './faults.ts'
export { simulate } from './simulate.ts'
export type { SimulationOptions, SimulationResult } from './simulate.ts'
