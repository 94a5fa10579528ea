import { placeTenant } from './backlog.ts'
import type { FarmState, OpenShard } from './state.ts'
import { DEFAULT_TERMS } from './tenants.ts'
import type { Tenant, TenantTerms } from './tenants.ts'

/** A tenant that nobody has spoken of has the default terms. */
export function tenantOf(farm: FarmState, name: string): Tenant {
  let tenant = farm.tenants.get(name)
  if (tenant === undefined) {
    const nothing = {
      running: 0,
      runningOf: new Map(),
      service: farm.virtualTime,
      active: 0,
      backlogs: new Set<never>(),
    }
    tenant = { name, terms: DEFAULT_TERMS, ...nothing }
    farm.tenants.set(name, tenant)
  }
  return tenant
}

export function changeTenant(farm: FarmState, name: string, terms: TenantTerms): void {
  const tenant = tenantOf(farm, name)
  tenant.terms = terms
  catchUp(farm, tenant)
}

/** Whoever had no work, or other terms, has no claim on the time that has passed. */
export function catchUp(farm: FarmState, tenant: Tenant): void {
  tenant.service = Math.max(tenant.service, farm.virtualTime)
  placeTenant(tenant)
}

/** Charges what a shard is now believed, or known, to take instead of what it was charged before. */
export function charge(tenant: Tenant, shard: OpenShard, seconds: number): void {
  tenant.service += (seconds - shard.charged) / tenant.terms.weight
  shard.charged = seconds
  placeTenant(tenant)
}
