import type { TenantBacklog } from './backlog.ts'

/** What a tenant may have of the farm. */
export interface TenantTerms {
  /** Among tenants with work that waits, GPU-seconds follow the weights. Above 0. */
  readonly weight: number
  /** Shards that it may have running; null for any number. */
  readonly cap: number | null
  /** So many more, while no tenant below its cap has anything for the worker. */
  readonly burst: number
}

export interface Tenant {
  readonly name: string
  terms: TenantTerms
  /** Shards that are dispatching or dispatched, in all and by checkpoint. */
  running: number
  readonly runningOf: Map<string, number>
  /** GPU-seconds that it was charged, over its weight: who has the least is next. */
  service: number
  /** Batches that could run now: neither paused nor ending. */
  active: number
  readonly backlogs: Set<TenantBacklog>
}

export const DEFAULT_TERMS: TenantTerms = { weight: 1, cap: null, burst: 0 }

export function isOverCap({ terms, running }: Tenant): boolean {
  return terms.cap !== null && running >= terms.cap
}

export function isAtLimit({ terms, running }: Tenant): boolean {
  return terms.cap !== null && running >= terms.cap + terms.burst
}

/** Who is next: tenants below their caps, then the one with the least service. */
export function isServedBefore(a: Tenant, b: Tenant): boolean {
  const [over, otherOver] = [isOverCap(a), isOverCap(b)]
  if (over !== otherOver) return otherOver
  return a.service === b.service ? a.name < b.name : a.service < b.service
}
