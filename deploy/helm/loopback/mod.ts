export { LoopbackCluster } from './cluster.ts'
export type { Pod, Workload } from './cluster.ts'
