import { readConfig } from '@darkroom/chassis'
import type { VariableTable } from '@darkroom/chassis'
import { COORDINATOR_VARIABLES } from '@darkroom/coordinator/config'
import { GATEWAY_VARIABLES } from '@darkroom/gateway/config'
import { WORKER_VARIABLES } from '@darkroom/worker/config'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { CI_VALUES, renderCi, theOne, workloadsOf } from './chart.harness.ts'
import type { Container, KubernetesObject } from './chart.harness.ts'
import { environmentOf } from './environment.harness.ts'
import { settingsOf } from './settings.ts'

const TABLES: Readonly<Record<string, VariableTable>> = {
  gateway: GATEWAY_VARIABLES,
  coordinator: COORDINATOR_VARIABLES,
  worker: WORKER_VARIABLES,
}
const PASSWORDS = { coordinator: 'one', worker: 'two' }
const SECRETS = {
  'darkroom-s3': { 'access-key-id': 'id', 'secret-access-key': 'key' },
  'darkroom-nats': PASSWORDS,
  'farm-darkroom-nats-users': PASSWORDS,
  'studio-nats-users': PASSWORDS,
}
/** A service ends by itself so long after SIGTERM, whatever hangs (chassis, lifecycle.ts). */
const FORCED_EXIT_S = 30

function servicesOf(objects: readonly KubernetesObject[]) {
  return workloadsOf(objects).filter(({ container }) => Object.hasOwn(TABLES, container['name']))
}

/** The environment of a service, with the files that its variables name where this machine can read them. */
function readableEnvironment(objects: readonly KubernetesObject[], container: Container): Record<string, string> {
  const environment = environmentOf(container, { podName: 'pod-0', secrets: SECRETS })
  const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-chart-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  for (const [name, value] of Object.entries(environment)) {
    if (!name.endsWith('_TENANTS_FILE')) continue
    environment[name] = path.join(folder, path.basename(value))
    writeFileSync(environment[name], theOne(objects, 'ConfigMap', '-tenants')['data'][path.basename(value)])
  }
  return environment
}

test.for(Object.keys(CI_VALUES))('the services read the environment of %s and find nothing wrong with it', (name) => {
  const objects = renderCi(name)
  const services = servicesOf(objects)
  expect(services.length).toBeGreaterThanOrEqual(3)
  for (const { container } of services) {
    const environment = readableEnvironment(objects, container)
    // What the operator's keys are is not the chart's to say.
    delete environment['DARKROOM_GATEWAY_ROOT_KEYS_FILE']
    for (const file of ['CA', 'CERT', 'KEY']) delete environment[`DARKROOM_TLS_${file}_FILE`]
    expect(() => readConfig(TABLES[container['name']]!, environment)).not.toThrow()
  }
})

test('numbers arrive as they were written', () => {
  const [gateway] = servicesOf(renderCi('cpu-only')).filter(({ container }) => container['name'] === 'gateway')
  expect(environmentOf(gateway!.container, { podName: 'pod-0', secrets: SECRETS })).toMatchObject({
    DARKROOM_GATEWAY_MAX_ITEMS: '2000000',
    DARKROOM_GATEWAY_IMAGES: 'proxy',
  })
  const config = readConfig(
    COORDINATOR_VARIABLES,
    readableEnvironment(
      renderCi('cpu-only'),
      theOne(renderCi('cpu-only'), 'StatefulSet', '-coordinator')['spec'].template.spec.containers[0],
    ),
  )
  expect(config.targetShardSeconds).toBe(2.5)
  expect(config.pools).toEqual(['default'])
})

test('a setting is the variable of the same name', () => {
  const settings = settingsOf('WORKER')
  expect(settings.map(({ key, variable }) => [key, variable])).toContainEqual([
    'memoryMib',
    'DARKROOM_WORKER_MEMORY_MIB',
  ])
  expect(settings.find(({ key }) => key === 'graceMs')?.schema).toEqual({
    type: 'integer',
    minimum: 0,
    maximum: 28_000,
  })
  expect(settings.find(({ key }) => key === 'shapes')?.schema).toEqual({ enum: ['auto', 'any', 'closed', 'single'] })
})

test('pods are given longer to stop than their services take', () => {
  for (const name of Object.keys(CI_VALUES))
    for (const { pod, container } of servicesOf(renderCi(name))) {
      const preStop = container['lifecycle']?.preStop.sleep.seconds ?? 0
      expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(preStop + FORCED_EXIT_S)
    }
})

test('ports and the cache are where the services are told to have them', () => {
  for (const name of Object.keys(CI_VALUES))
    for (const { container } of servicesOf(renderCi(name))) {
      const environment = environmentOf(container, { podName: 'pod-0', secrets: SECRETS })
      const ports = container['ports'].map(({ containerPort }: { containerPort: number }) => String(containerPort))
      const prefix = `DARKROOM_${container['name'].toUpperCase()}`
      expect([environment[`${prefix}_PORT`], environment[`${prefix}_ADMIN_PORT`]]).toEqual(ports)
      const folder = environment['DARKROOM_WORKER_CACHE_DIR']
      if (folder !== undefined) expect(container['volumeMounts']).toContainEqual({ name: 'cache', mountPath: folder })
    }
})

test('every image of the farm is a target of the Dockerfile, which exposes the ports that the chart names', () => {
  const dockerfile = readFileSync(path.resolve(import.meta.dirname, '..', 'images', 'Dockerfile'), 'utf8')
  for (const name of Object.keys(CI_VALUES))
    for (const { container } of servicesOf(renderCi(name))) {
      const target = /darkroom\/([a-z-]+)[:@]/.exec(container['image'])![1]
      const stage = dockerfile.split(/^FROM /m).find((text) => text.includes(` AS ${target}\n`))
      const ports = container['ports'].map(({ containerPort }: { containerPort: number }) => containerPort).join(' ')
      expect(stage, container['image']).toContain(`\nEXPOSE ${ports}\n`)
    }
})

test('a cluster of NATS keeps each stream as often as it has servers', () => {
  for (const name of Object.keys(CI_VALUES)) {
    const objects = renderCi(name)
    const { container } = servicesOf(objects).find((service) => service.container['name'] === 'coordinator')!
    const replicas = environmentOf(container, { podName: 'pod-0', secrets: SECRETS })[
      'DARKROOM_COORDINATOR_NATS_REPLICAS'
    ]
    const nats = objects.find(({ kind, metadata }) => kind === 'StatefulSet' && metadata.name.endsWith('-nats'))
    expect(replicas).toBe(nats === undefined ? undefined : String(nats['spec'].replicas))
  }
})

test('with mutual TLS every service has its own secret, and no probe that speaks no TLS', () => {
  const objects = renderCi('mtls')
  for (const { object, pod, container } of workloadsOf(objects)) {
    if (object.kind === 'Pod') continue
    const role = container['name']
    const secret = pod.volumes.find((volume: { name: string }) => volume.name === 'tls').secret.secretName
    expect(secret).toBe(`farm-darkroom-${role}-tls`)
    const certificate = theOne(objects, 'Certificate', `-${role}`)['spec']
    expect(certificate).toMatchObject({ secretName: secret, uris: [`spiffe://darkroom/${role}`] })
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
      expect(container[probe].grpc).toBeUndefined()
    const url = (container['env'] ?? []).find((entry: { name: string }) => entry.name === 'DARKROOM_NATS_URL')?.value
    if (url !== undefined) expect(url).toBe('tls://farm-darkroom-nats.render.svc:4222')
    // Whoever is asked has a certificate for the name that it is asked by.
    const asked = (container['env'] ?? []).filter(({ name }: { name: string }) =>
      /_COORDINATORS$|_NATS_URL$/.test(name),
    )
    for (const { value } of asked)
      for (const address of value.replace('tls://', '').split(',')) {
        const [host, asAny] = [address.split(':')[0], address.replace(/^[^.]+/, '*').split(':')[0]]
        const names = objects.filter(({ kind }) => kind === 'Certificate').flatMap(({ spec }) => spec.dnsNames)
        expect(names).toSatisfy((all: string[]) => all.includes(host) || all.includes(asAny))
      }
  }
})
