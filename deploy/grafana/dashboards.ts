import { batches } from './batches.ts'
import { gpus } from './gpus.ts'
import { overview } from './overview.ts'
import type { Dashboard } from './panels.ts'
import { plumbing } from './plumbing.ts'
import { schedulers } from './schedulers.ts'

export { dashboardJson } from './json.ts'
export type { Dashboard, Panel } from './panels.ts'

/** Every dashboard, in the order of their links. */
export const DASHBOARDS: readonly Dashboard[] = [overview, schedulers, gpus, batches, plumbing]
