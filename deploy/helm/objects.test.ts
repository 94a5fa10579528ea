import { expect, test } from 'vitest'
import { CI_VALUES, NAMESPACE, render, renderCi, workloadsOf } from './chart.harness.ts'
import type { KubernetesObject } from './chart.harness.ts'
import { assertValid, unknownFieldsIn } from './schemas.harness.ts'

const NAMES = Object.keys(CI_VALUES)
const ALL = NAMES.flatMap((name) => renderCi(name))

test.for(NAMES)('every object of %s is what its API takes', async (name) => {
  const objects = renderCi(name)
  expect(objects.length).toBeGreaterThan(10)
  for (const object of objects)
    await expect(assertValid(object), `${object.kind} ${object.metadata.name}`).resolves.toBeUndefined()
})

test('no object has a field that its API does not know', { timeout: 60_000 }, async () => {
  expect(await unknownFieldsIn(ALL)).toBe('')
})

test('a field that is misspelt would be found', { timeout: 60_000 }, async () => {
  const misspelt = structuredClone(workloadsOf(ALL)[0]!.object)
  misspelt['spec'].template.spec.containers[0].readynessProbe = {}
  expect(await unknownFieldsIn([misspelt])).toMatch(/readynessProbe.* does not exist/)
})

test.for(NAMES)('no two objects of %s have the same name, and every name fits', (name) => {
  const names = renderCi(name).map(({ kind, metadata }) => `${kind}/${metadata.name}`)
  expect(names).toEqual([...new Set(names)])
  for (const { metadata } of renderCi(name)) expect(metadata.name).toMatch(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/)
})

test('names fit however long those of release and pool are', async () => {
  const pool = 'twenty-letters-long0'
  const options = [`fullnameOverride=${'long-'.repeat(20)}`, `workers.pools.${pool}.autoscaling.enabled=true`]
  const objects = await render(...options.flatMap((option) => ['--set', option]))
  expect(objects.filter(({ metadata }) => metadata.name.endsWith(pool)).map(({ kind }) => kind)).toEqual([
    'Deployment',
    'ScaledObject',
  ])
  for (const { metadata } of objects) expect(metadata.name).toMatch(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/)
})

test('together the CI values render every kind of object that the chart knows', () => {
  expect([...new Set(ALL.map(({ kind }) => kind))].sort()).toEqual([
    'Certificate',
    'ConfigMap',
    'Deployment',
    'HTTPRoute',
    'HorizontalPodAutoscaler',
    'Ingress',
    'NetworkPolicy',
    'Pod',
    'PodDisruptionBudget',
    'PodMonitor',
    ...(ALL.some(({ kind }) => kind === 'PrometheusRule') ? ['PrometheusRule'] : []),
    'ScaledObject',
    'Secret',
    'Service',
    'ServiceAccount',
    'StatefulSet',
  ])
})

/** Whether a pod has all of a selector's labels. */
function selects(selector: Record<string, string>, labels: Record<string, string>): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value)
}

test.for(NAMES)('whatever selects pods in %s selects some, and a workload its own alone', (name) => {
  const objects = renderCi(name)
  const workloads = workloadsOf(objects)
  for (const { kind, metadata, spec } of objects) {
    const selector = kind === 'Service' ? spec.selector : (spec?.podSelector ?? spec?.selector)?.matchLabels
    if (selector === undefined) continue
    const selected = workloads
      .filter(({ labels }) => selects(selector, labels))
      .map(({ object }) => object.metadata.name)
    expect(selected, `${kind} ${metadata.name}`).not.toEqual([])
    if (kind === 'Deployment' || kind === 'StatefulSet') expect(selected).toEqual([metadata.name])
  }
})

test.for(NAMES)('ports that services, probes, policies and monitors of %s name exist in the pods they mean', (name) => {
  const objects = renderCi(name)
  const workloads = workloadsOf(objects)
  const portsOf = (selector: Record<string, string>): Set<string> =>
    new Set(
      workloads
        .filter(({ labels }) => selects(selector, labels))
        .flatMap(({ container }) => (container['ports'] ?? []).map((port: { name: string }) => port.name)),
    )
  for (const { kind, metadata, spec } of objects) {
    if (kind === 'Service')
      for (const { targetPort } of spec.ports) expect([...portsOf(spec.selector)], metadata.name).toContain(targetPort)
    if (kind === 'PodMonitor')
      for (const { port } of spec.podMetricsEndpoints) expect([...portsOf(spec.selector.matchLabels)]).toContain(port)
    if (kind !== 'NetworkPolicy') continue
    for (const rule of spec.ingress ?? [])
      for (const { port } of rule.ports)
        expect([...portsOf(spec.podSelector.matchLabels)], metadata.name).toContain(port)
    for (const rule of spec.egress ?? [])
      for (const { port } of rule.ports)
        if (typeof port === 'string' && Number.isNaN(Number(port)))
          expect([...portsOf(rule.to[0].podSelector.matchLabels)], metadata.name).toContain(port)
  }
  for (const { container } of workloads) {
    const own = new Map(
      (container['ports'] ?? []).map((port: { name: string; containerPort: number }) => [
        port.name,
        port.containerPort,
      ]),
    )
    for (const probe of [container['startupProbe'], container['livenessProbe'], container['readinessProbe']]) {
      if (probe?.httpGet !== undefined) expect([...own.keys()]).toContain(probe.httpGet.port)
      if (probe?.grpc !== undefined) expect([...own.values()]).toContain(probe.grpc.port)
    }
  }
})

test.for(NAMES)('every pod of %s meets the restricted pod security standard', (name) => {
  for (const { object, pod, container } of workloadsOf(renderCi(name))) {
    expect(pod.securityContext, object.metadata.name).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 65_532,
      seccompProfile: { type: 'RuntimeDefault' },
    })
    expect(container['securityContext']).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    expect(pod.automountServiceAccountToken).toBe(false)
    expect(pod.hostNetwork ?? pod.hostPID ?? pod.hostIPC ?? false).toBe(false)
    const kinds = (pod.volumes ?? []).map((volume: object) => Object.keys(volume).find((key) => key !== 'name'))
    const allowed = ['configMap', 'secret', 'emptyDir', 'ephemeral', 'persistentVolumeClaim']
    // A cache on the node is asked for by name there.
    if (name === 'single-gpu') allowed.push('hostPath')
    for (const kind of kinds) expect(allowed).toContain(kind)
  }
})

test('whatever runs for long is probed three ways, has a memory limit, and an image with a version', () => {
  for (const { object, container } of workloadsOf(ALL)) {
    expect(container['resources'].limits.memory, object.metadata.name).toMatch(/^\d+(Mi|Gi)$/)
    expect(container['image']).toMatch(/(:\d+\.\d+\.\d+|@sha256:[0-9a-f]{64})$/)
    if (object.kind === 'Pod') continue
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) expect(container[probe]).toBeDefined()
  }
})

test('every mount has its volume', () => {
  for (const { pod, container } of workloadsOf(ALL)) {
    const volumes = new Set([
      ...(pod.volumes ?? []).map((volume: { name: string }) => volume.name),
      ...(container['volumeMounts']?.some((mount: { name: string }) => mount.name === 'data') ? ['data'] : []),
    ])
    for (const { name } of container['volumeMounts'] ?? []) expect([...volumes]).toContain(name)
  }
})

test.for(NAMES)('every flow of %s that is allowed out of one pod is allowed into the other', (name) => {
  const objects = renderCi(name)
  const policies = objects.filter(
    ({ kind, spec }) => kind === 'NetworkPolicy' && (spec.ingress ?? spec.egress) !== undefined,
  )
  for (const from of policies)
    for (const rule of from['spec'].egress ?? []) {
      const inside = (rule.to ?? []).flatMap((peer: KubernetesObject) =>
        peer['namespaceSelector'] === undefined && peer['podSelector'] !== undefined
          ? [peer['podSelector'].matchLabels]
          : [],
      )
      for (const labels of inside) {
        const into = policies.find(
          ({ spec }) =>
            spec.podSelector.matchLabels['app.kubernetes.io/component'] === labels['app.kubernetes.io/component'],
        )!
        const own = from['spec'].podSelector.matchLabels
        const admits = into['spec'].ingress.some(
          (entry: KubernetesObject) =>
            entry['ports'][0].port === rule.ports[0].port &&
            (entry['from'] === undefined ||
              entry['from'].some((peer: KubernetesObject) =>
                selects(peer['podSelector']?.matchLabels ?? { '': '' }, own),
              )),
        )
        expect(admits, `${from.metadata.name} → ${into.metadata.name}`).toBe(true)
      }
    }
})

test('addresses that the pods are given are those of services that exist', () => {
  for (const name of NAMES) {
    const objects = renderCi(name)
    const services = objects.filter(({ kind }) => kind === 'Service').map(({ metadata }) => metadata.name)
    for (const { container } of workloadsOf(objects))
      for (const { name: variable, value } of container['env'] ?? []) {
        if (!/_COORDINATORS$|_NATS_URL$/.test(variable)) continue
        for (const address of value.split(',').filter((one: string) => one.includes(`.${NAMESPACE}.svc`)))
          expect(services, variable).toContain(/([^./]+)\.render\.svc:\d+$/.exec(address)![1])
      }
  }
})
