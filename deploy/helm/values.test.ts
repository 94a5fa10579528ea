import { expect, test } from 'vitest'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { CHART } from './chart-files.ts'
import { renderText } from './chart.harness.ts'
import { schemaFor } from './schema.ts'
import type { JsonSchema } from './settings.ts'
import { valuesOf } from './values.ts'

const VALUES = valuesOf(readFileSync(path.join(CHART, 'values.yaml'), 'utf8'))

type Settings = Readonly<Record<string, unknown>>

/** Switches on whatever another value depends on. */
const ALL_ON: Settings = {
  'auth.oidc.issuer': 'https://login.example.com',
  'auth.rootKeys.existingSecret': 'keys',
  'coordinator.replicas': 3,
  'externalNats.url': 'nats://elsewhere:4222',
  'gateway.httpRoute.enabled': true,
  'gateway.httpRoute.parentRefs': [{ name: 'public' }],
  'gateway.ingress.enabled': true,
  'gateway.ingress.hosts': ['darkroom.example.com'],
  'monitoring.dashboards': true,
  'monitoring.monitors': true,
  'monitoring.rules': true,
  'nats.replicas': 3,
  'store.existingSecret.name': 's3',
  'tls.certManager.enabled': true,
  'tls.certManager.issuerRef.name': 'ca',
  'tls.enabled': true,
  'tls.existingSecrets': { gateway: 'a', coordinator: 'b', worker: 'c', nats: 'd' },
  'workers.poolDefaults.device': 'cuda',
  'workers.poolDefaults.autoscaling.enabled': true,
}
const SCALED: Settings = { 'gateway.autoscaling.enabled': true }
const ON_CPU: Settings = { 'workers.poolDefaults.device': 'cpu' }
const ELSEWHERE: Settings = { 'nats.enabled': false }
const OWN_SECRETS: Settings = { 'tls.certManager.enabled': false }

/** What has to be otherwise for a value to matter. */
const UNLESS: Readonly<Record<string, Settings>> = {
  'externalNats.url': ELSEWHERE,
  'gateway.autoscaling.maxReplicas': SCALED,
  'gateway.autoscaling.minReplicas': SCALED,
  'gateway.autoscaling.targetCPUUtilizationPercentage': SCALED,
  'networkPolicy.natsTo': ELSEWHERE,
  'tls.existingSecrets.coordinator': OWN_SECRETS,
  'tls.existingSecrets.gateway': OWN_SECRETS,
  'tls.existingSecrets.nats': OWN_SECRETS,
  'tls.existingSecrets.worker': OWN_SECRETS,
  'workers.image.cpu.digest': ON_CPU,
  'workers.image.cpu.repository': ON_CPU,
  'workers.poolDefaults.cache.claimName': {
    'workers.poolDefaults.cache.type': 'claim',
    'workers.poolDefaults.cache.claimName': 'checkpoints',
  },
  'workers.poolDefaults.cache.hostPath': { 'workers.poolDefaults.cache.type': 'hostPath' },
  'workers.poolDefaults.cache.storageClassName': { 'workers.poolDefaults.cache.type': 'ephemeral' },
  'workers.poolDefaults.replicas': { 'workers.poolDefaults.autoscaling.enabled': false },
}

/** Values that show files which may not be there. */
const OF_FILES: Readonly<Record<string, string>> = {
  'monitoring.rules': 'files/rules.yaml',
  'monitoring.dashboards': 'files/dashboards',
  'monitoring.dashboardFolder': 'files/dashboards',
}

/** Another value of the same kind. */
function otherThan(value: unknown, schema: JsonSchema): unknown {
  if (Array.isArray(schema['enum'])) return schema['enum'].find((candidate) => candidate !== value)
  const pattern = (schema['pattern'] ?? '') as string
  if (pattern.includes('sha256')) return `sha256:${'7'.repeat(64)}`
  if (pattern.includes('https?')) return 'https://other.example.com:9443'
  if (pattern.includes('h|m|s')) return '77h'
  if (pattern.includes('Mi|Gi')) return '77Gi'
  if (pattern !== '') return '/other/thing'.slice(value === '' || String(value).startsWith('/') ? 0 : 1)
  if (typeof value === 'boolean') return !value
  if (typeof value === 'number') return value + 1
  if (typeof value === 'string') return value === '' ? 'other' : `${value}-other`
  if (Array.isArray(value)) return ITEMS[(schema['items'] as JsonSchema)['type'] as string]
  return schema['properties'] === undefined ? { other: 'thing' } : { requests: { cpu: 7 } }
}
const ITEMS: Readonly<Record<string, readonly unknown[]>> = { string: ['other'], object: [{}] }

/** Objects whose content is closed, with something to put into them. */
const CONTENTS: Readonly<Record<string, unknown>> = {
  tenants: { research: { weight: 3 } },
  'gateway.config': { maxItems: 7 },
  'coordinator.config': { window: 7 },
  'workers.poolDefaults.config': { threads: 7 },
  'workers.pools': { other: {} },
  'gateway.extraEnv': [{ name: 'OTHER', value: 'thing' }],
  'coordinator.extraEnv': [{ name: 'OTHER', value: 'thing' }],
  'workers.poolDefaults.autoscaling.extraTriggers': [{ type: 'cron', metadata: { timezone: 'Europe/Berlin' } }],
  'workers.poolDefaults.extraEnv': [{ name: 'OTHER', value: 'thing' }],
}

function schemaAt(schema: JsonSchema, names: readonly string[]): JsonSchema {
  const definitions = schemaFor(VALUES)['definitions'] as Record<string, JsonSchema>
  let at = schema
  for (const name of names) {
    at = (at['properties'] as Record<string, JsonSchema>)[name]!
    if (at['$ref'] !== undefined) at = definitions['pool']!
  }
  return at
}

test('every value makes a difference to what is rendered', { timeout: 60_000 }, async () => {
  const schema = schemaFor(VALUES)
  const rendered = new Map<string, Promise<string>>()
  const renderWith = (settings: Settings): Promise<string> => {
    const sets = Object.entries(settings).map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    const key = sets.join('\n')
    const text = rendered.get(key) ?? renderText(...sets.flatMap((set) => ['--set-json', set]))
    rendered.set(key, text)
    return text
  }
  const queue = VALUES.filter(({ path: name }) => existsSync(path.join(CHART, OF_FILES[name] ?? '')))
  const idle: string[] = []
  const runner = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { path: name, fallback } = next
      const base: Settings = { ...ALL_ON, ...UNLESS[name] }
      const other = CONTENTS[name] ?? otherThan(base[name] ?? fallback, schemaAt(schema, name.split('.')))
      const [before, after] = await Promise.all([renderWith(base), renderWith({ ...base, [name]: other })])
      if (before === after) idle.push(name)
    }
  }
  await Promise.all([runner(), runner()])
  expect(idle).toEqual([])
})
