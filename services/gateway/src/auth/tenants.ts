import { DEFAULT_TERMS } from '@darkroom/chassis'
import type { TenantTerms, TenantsFile } from '@darkroom/chassis'

export type Tenants = TenantsFile

/** A tenant that the operator says nothing of has the default terms. */
export function termsOf(tenants: Tenants, tenant: string): TenantTerms {
  return tenants.get(tenant) ?? DEFAULT_TERMS
}
