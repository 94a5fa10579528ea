/** Until tenants have records of their own, whoever asks is this one. */
export const TENANT = 'default'

/** Names that stand for nobody yet: most likely somebody's mistake. */
export function unknownTenants(names: readonly string[]): readonly string[] {
  return names.filter((name) => name !== TENANT)
}
