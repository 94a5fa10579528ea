import { readFileSync } from 'node:fs'
import type { Variable } from './config.ts'

/** What a tenant may have of the farm. The coordinator goes by the first three, the gateway by the others. */
export interface TenantTerms {
  /** Among tenants with work that waits, GPU-seconds follow the weights. Above 0. */
  readonly weight: number
  /** Shards that it may have running; null for any number. */
  readonly cap: number | null
  /** So many more, while no tenant below its cap has anything for the worker. */
  readonly burst: number
  /** Names of the checkpoints that it may use; null for all. */
  readonly checkpoints: readonly string[] | null
  /** Whether its items may turn a checkpoint's safety checker off. */
  readonly maySkipSafetyChecker: boolean
  /** Requests that one gateway answers it in a minute; null for any number. */
  readonly requestsPerMinute: number | null
  /** Images that its batches may ask for on a day (UTC); null for any number. */
  readonly imagesPerDay: number | null
}

export type TenantsFile = ReadonlyMap<string, TenantTerms>

export const DEFAULT_TERMS: TenantTerms = {
  weight: 1,
  cap: null,
  burst: 0,
  checkpoints: null,
  maySkipSafetyChecker: false,
  requestsPerMinute: null,
  imagesPerDay: null,
}

const TENANT_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/

const LIMITS: { readonly [K in keyof TenantTerms]: { isValid(value: unknown): boolean; readonly want: string } } = {
  weight: { isValid: (value) => typeof value === 'number' && value > 0, want: 'a number above 0' },
  cap: { isValid: orNull(isCount), want: 'a whole number of shards, or null for no cap' },
  burst: { isValid: isCount, want: 'a whole number of shards' },
  checkpoints: { isValid: orNull(isNames), want: 'a list of checkpoint names, or null for all' },
  maySkipSafetyChecker: { isValid: (value) => typeof value === 'boolean', want: 'true or false' },
  requestsPerMinute: {
    isValid: orNull((value) => isCount(value) && value !== 0),
    want: 'a whole number above 0, or null for no limit',
  },
  imagesPerDay: { isValid: orNull(isCount), want: 'a whole number of images, or null for no limit' },
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isNames(value: unknown): boolean {
  return Array.isArray(value) && value.every((name) => typeof name === 'string' && name !== '')
}

function orNull(isValid: (value: unknown) => boolean) {
  return (value: unknown): boolean => value === null || isValid(value)
}

/** Names are parts of object keys. */
export function isTenantName(text: string): boolean {
  return TENANT_NAME.test(text)
}

/**
 * A file with the terms of tenants by name, the same for coordinator and gateway:
 * `{"acme": {"weight": 2, "cap": 100, "burst": 20, "checkpoints": ["emoji-sd"]}}`; what is left out has its default.
 */
export function tenantsFile(name: string, describe: string): Variable<TenantsFile> {
  return {
    name,
    describe,
    defaultText: 'none',
    read(environment) {
      const file = environment[name]
      return file ? parseTenants(file, readJson(file)) : new Map()
    },
  }
}

function readJson(file: string): unknown {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    throw new Error(`the file '${file}' cannot be read`)
  }
  try {
    return JSON.parse(text)
  } catch (reason) {
    throw new Error(`the file '${file}' is no JSON: ${(reason as Error).message}`, { cause: reason })
  }
}

function parseTenants(file: string, document: unknown): TenantsFile {
  const fields = Object.keys(LIMITS).join(', ')
  const tenants = entriesOf(document, `${file}: want an object of tenants by name`)
  return new Map(
    tenants.map(([tenant, terms]) => {
      if (!isTenantName(tenant)) {
        throw new Error(`${file}: '${tenant}' is no tenant's name: want up to 63 of a-z, 0-9 and -, not - first`)
      }
      const entries = entriesOf(terms, `${file}: ${tenant}: want an object with ${fields}`)
      for (const [field, value] of entries) {
        const got = JSON.stringify(value)
        if (!Object.hasOwn(LIMITS, field)) {
          throw new Error(`${file}: ${tenant}.${field}: no such field; want ${fields}`)
        }
        const limit = LIMITS[field as keyof TenantTerms]
        if (!limit.isValid(value)) throw new Error(`${file}: ${tenant}.${field}: want ${limit.want}, got ${got}`)
      }
      return [tenant, { ...DEFAULT_TERMS, ...Object.fromEntries(entries) }]
    }),
  )
}

function entriesOf(value: unknown, want: string): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(want)
  return Object.entries(value)
}
