import type { Variable } from '@darkroom/chassis'
import { readFileSync } from 'node:fs'
import { DEFAULT_TERMS } from './core/tenants.ts'
import type { TenantTerms } from './core/tenants.ts'

const LIMITS = {
  weight: { isValid: (value: unknown) => typeof value === 'number' && value > 0, want: 'a number above 0' },
  cap: {
    isValid: (value: unknown) => value === null || isCount(value),
    want: 'a whole number of shards, or null for no cap',
  },
  burst: { isValid: isCount, want: 'a whole number of shards' },
} as const

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** A file with the terms of tenants by name: `{"default": {"weight": 2, "cap": 100, "burst": 20}}`; what is left out has its default. */
export function tenantTerms(name: string, describe: string): Variable<ReadonlyMap<string, TenantTerms>> {
  return {
    name,
    describe,
    defaultText: 'none',
    read(environment) {
      const file = environment[name]
      return file ? parseTerms(file, readJson(file)) : new Map()
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

function parseTerms(file: string, document: unknown): ReadonlyMap<string, TenantTerms> {
  const tenants = entriesOf(document, `${file}: want an object of tenants by name`)
  return new Map(
    tenants.map(([tenant, terms]) => {
      const entries = entriesOf(terms, `${file}: ${tenant}: want an object with ${Object.keys(LIMITS).join(', ')}`)
      for (const [field, value] of entries) {
        const limit = LIMITS[field as keyof typeof LIMITS] as (typeof LIMITS)[keyof typeof LIMITS] | undefined
        const got = JSON.stringify(value)
        if (limit === undefined)
          throw new Error(`${file}: ${tenant}.${field}: no such field; want ${Object.keys(LIMITS).join(', ')}`)
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
