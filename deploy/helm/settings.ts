import type { Variable } from '@darkroom/chassis'
import { COORDINATOR_VARIABLES } from '@darkroom/coordinator/config'
import { GATEWAY_VARIABLES } from '@darkroom/gateway/config'
import { WORKER_VARIABLES } from '@darkroom/worker/config'

export type JsonSchema = { readonly [keyword: string]: unknown }

/** Variables of a service that the chart makes of values of their own; the others are settings of its `config`. */
const MADE_BY_CHART = {
  GATEWAY: /^(HOST|PORT|ADMIN_PORT|COORDINATORS|TENANTS_FILE|AUTH|ROOT_KEYS_FILE|OIDC_.*)$/,
  COORDINATOR: /^(HOST|PORT|ADMIN_PORT|POOLS|TENANTS_FILE)$/,
  WORKER: /^(ID|HOST|PORT|ADMIN_PORT|COORDINATORS|POOL|TAGS|CACHE_DIR|DEVICE|DEVICE_ORDINAL)$/,
}

export type Role = keyof typeof MADE_BY_CHART

const VARIABLES: Readonly<Record<Role, readonly Variable<unknown>[]>> = {
  GATEWAY: Object.values(GATEWAY_VARIABLES),
  COORDINATOR: Object.values(COORDINATOR_VARIABLES),
  WORKER: Object.values(WORKER_VARIABLES),
}

/** One key of a `config` of the chart's values. */
export interface Setting {
  readonly key: string
  readonly variable: string
  readonly describe: string
  readonly defaultText: string
  readonly schema: JsonSchema
}

/** DARKROOM_GATEWAY_MAX_ITEMS is `maxItems` of the gateway's config. Secrets are none: they come by extraEnv. */
export function settingsOf(role: Role): readonly Setting[] {
  const prefix = `DARKROOM_${role}_`
  return VARIABLES[role].flatMap((variable) => {
    const { name, describe, defaultText } = variable
    const suffix = name.startsWith(prefix) ? name.slice(prefix.length) : ''
    if (suffix === '' || MADE_BY_CHART[role].test(suffix) || describe.includes(`${name}_FILE`)) return []
    const key = suffix.toLowerCase().replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
    return [{ key, variable: name, describe, defaultText: defaultText ?? 'required', schema: schemaOf(variable) }]
  })
}

/** What a variable takes, by what it says of a text that it does not. */
function schemaOf(variable: Variable<unknown>): JsonSchema {
  const want = problemWith(variable, '?')
  const names = /^want one of (.+), got/.exec(want)?.[1]
  if (names !== undefined) return { enum: names.split(', ') }
  if (want.startsWith('want true or false')) return { type: 'boolean' }
  const type = want.startsWith('want an integer') ? 'integer' : want.startsWith('want a number') ? 'number' : 'string'
  if (type === 'string') return { type }
  const range = problemWith(variable, '-999999999999')
  const [, minimum, maximum] = /^want a number (?:from|of) (\S+)(?: or more| to (\S+)), got/.exec(range) ?? []
  return {
    type,
    ...(minimum !== undefined && { minimum: Number(minimum) }),
    ...(maximum !== undefined && { maximum: Number(maximum) }),
  }
}

function problemWith(variable: Variable<unknown>, text: string): string {
  try {
    variable.read({ [variable.name]: text })
  } catch (reason) {
    return (reason as Error).message
  }
  return ''
}
