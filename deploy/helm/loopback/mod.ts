export { render } from '../chart.harness.ts'
export { LoopbackCluster } from './cluster.ts'
export type { Pod, Workload } from './cluster.ts'
export { Service } from './service.ts'
