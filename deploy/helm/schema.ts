import { settingsOf } from './settings.ts'
import type { JsonSchema, Role } from './settings.ts'
import type { ChartValue } from './values.ts'

const texts: JsonSchema = { type: 'object', additionalProperties: { type: 'string' } }
const list = (items: JsonSchema): JsonSchema => ({ type: 'array', items })
const closed = (properties: Record<string, JsonSchema>, required: readonly string[] = []): JsonSchema => ({
  type: 'object',
  properties,
  ...(required.length > 0 && { required }),
  additionalProperties: false,
})
const text: JsonSchema = { type: 'string' }
const filled: JsonSchema = { type: 'string', minLength: 1 }
const count = (minimum: number): JsonSchema => ({ type: 'integer', minimum })
const oneOf = (...values: readonly (string | number)[]): JsonSchema => ({ enum: values })
const quantity: JsonSchema = { type: 'string', pattern: '^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$' }
const quantities: JsonSchema = {
  type: 'object',
  additionalProperties: { anyOf: [quantity, { type: 'number', minimum: 0 }] },
}
/** An object of Kubernetes' own, which the API server checks. */
const kubernetes: JsonSchema = { type: 'object' }
const span: JsonSchema = { type: 'string', pattern: '^([0-9]+(h|m|s))+$' }

const config = (role: Role): JsonSchema =>
  closed(
    Object.fromEntries(
      settingsOf(role).map(({ key, describe, schema, defaultText }) => [
        key,
        { description: `${describe} (default: ${defaultText})`, ...schema },
      ]),
    ),
  )

const tenant = closed({
  weight: { type: 'number', exclusiveMinimum: 0 },
  cap: { type: ['integer', 'null'], minimum: 0 },
  burst: count(0),
  checkpoints: { type: ['array', 'null'], items: filled },
  maySkipSafetyChecker: { type: 'boolean' },
  requestsPerMinute: { type: ['integer', 'null'], minimum: 1 },
  imagesPerDay: { type: ['integer', 'null'], minimum: 0 },
})

/** What a default does not tell of a value, by its path or by the end of it; the longest that matches counts. */
const DECLARED: Readonly<Record<string, JsonSchema>> = {
  commonLabels: texts,
  'image.pullPolicy': oneOf('Always', 'IfNotPresent', 'Never'),
  'image.pullSecrets': list(filled),
  digest: { type: 'string', pattern: '^(sha256:[0-9a-f]{64})?$' },
  repository: filled,
  tag: { type: 'string', not: { const: 'latest' } },
  logLevel: oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
  annotations: texts,
  'store.bucket': filled,
  'store.endpoint': { type: 'string', pattern: '^(https?://.+)?$' },
  tenants: { type: 'object', additionalProperties: tenant },
  'auth.mode': oneOf('open', 'keys'),
  'issuerRef.kind': oneOf('Issuer', 'ClusterIssuer'),
  duration: span,
  renewBefore: span,
  replicas: count(0),
  'coordinator.replicas': count(1),
  minReplicas: count(0),
  'gateway.autoscaling.minReplicas': count(1),
  maxReplicas: count(1),
  'gateway.autoscaling.targetCPUUtilizationPercentage': { type: 'integer', minimum: 1, maximum: 100 },
  'service.type': oneOf('ClusterIP', 'NodePort', 'LoadBalancer'),
  'service.port': { type: 'integer', minimum: 1, maximum: 65_535 },
  'ingress.hosts': list(filled),
  'ingress.tls': list(closed({ secretName: filled, hosts: list(filled) })),
  'httpRoute.parentRefs': list(kubernetes),
  'httpRoute.hostnames': list(filled),
  'gateway.config': config('GATEWAY'),
  'coordinator.config': config('COORDINATOR'),
  'workers.poolDefaults.config': config('WORKER'),
  preStopSeconds: { type: 'integer', minimum: 1, maximum: 60 },
  resources: closed({ requests: quantities, limits: quantities }),
  extraEnv: list(closed({ name: filled, value: text, valueFrom: kubernetes }, ['name'])),
  podAnnotations: texts,
  podLabels: texts,
  nodeSelector: texts,
  tolerations: list(closed({ key: text, operator: text, value: text, effect: text, tolerationSeconds: count(0) })),
  affinity: kubernetes,
  'workers.poolDefaults.device': oneOf('cpu', 'cuda'),
  'gpu.resource': { type: 'string', pattern: '^[a-z0-9.-]+/[A-Za-z0-9._-]+$' },
  'gpu.count': count(1),
  tags: list(filled),
  'cache.type': oneOf('emptyDir', 'ephemeral', 'claim', 'hostPath'),
  'cache.hostPath': { type: 'string', pattern: '^/.+' },
  size: quantity,
  sharedMemory: quantity,
  secondsPerWorker: count(1),
  extraTriggers: list(kubernetes),
  cooldownSeconds: count(0),
  scaleDownStabilizationSeconds: { type: 'integer', minimum: 0, maximum: 3600 },
  startupSeconds: count(5),
  'nats.replicas': oneOf(1, 3),
  'nats.maxPayloadBytes': { type: 'integer', minimum: 1024, maximum: 67_108_864 },
  'networkPolicy.gatewayFrom': list(kubernetes),
  'networkPolicy.monitoringFrom': list(kubernetes),
  'networkPolicy.storeTo': list(kubernetes),
  'networkPolicy.natsTo': list(kubernetes),
  'networkPolicy.extraEgress': list(kubernetes),
  'monitoring.labels': texts,
  'monitoring.interval': span,
}

/** The schema of values.yaml: draft 7, closed to keys that the chart does not know. */
export function schemaFor(values: readonly ChartValue[]): JsonSchema {
  const root: Tree = new Map()
  for (const { path, describe, fallback } of values) {
    const names = path.split('.')
    let at = root
    for (const name of names.slice(0, -1)) {
      let next = at.get(name)
      if (!(next instanceof Map)) at.set(name, (next = new Map()))
      at = next
    }
    at.set(names.at(-1)!, { description: describe, ...(declaredFor(names) ?? typeOf(fallback)), default: fallback })
  }
  const { workers, ...others } = closedTree(root)['properties'] as Record<string, JsonSchema>
  const { poolDefaults, pools, ...rest } = workers!['properties'] as Record<string, JsonSchema>
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the Darkroom chart',
    type: 'object',
    properties: {
      ...others,
      // Of Helm itself.
      global: { type: 'object' },
      workers: closed({
        ...rest,
        poolDefaults: { $ref: '#/definitions/pool' },
        pools: {
          description: pools!['description'],
          type: 'object',
          propertyNames: { pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', maxLength: 20 },
          additionalProperties: { $ref: '#/definitions/pool' },
        },
      }),
    },
    additionalProperties: false,
    definitions: { pool: poolDefaults! },
  }
}

type Tree = Map<string, Tree | JsonSchema>

function closedTree(tree: Tree): JsonSchema {
  return closed(
    Object.fromEntries([...tree].map(([name, value]) => [name, value instanceof Map ? closedTree(value) : value])),
  )
}

function declaredFor(names: readonly string[]): JsonSchema | undefined {
  for (let from = 0; from < names.length; from++) {
    const declared = DECLARED[names.slice(from).join('.')]
    if (declared !== undefined) return declared
  }
  return undefined
}

function typeOf(value: unknown): JsonSchema {
  if (typeof value === 'string' || typeof value === 'boolean') return { type: typeof value }
  if (typeof value === 'number') return { type: 'integer' }
  return { type: Array.isArray(value) ? 'array' : 'object' }
}
