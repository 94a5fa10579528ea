import { ObjectStore } from '@darkroom/chassis'
import type { ObjectStoreConfig } from '@darkroom/chassis'
import { startNatsServer, startProgram } from '@darkroom/local'
import type { NatsServer, Program } from '@darkroom/local'
import { startS3Server } from '@darkroom/local/s3'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { NAMESPACE, workloadsOf } from '../chart.harness.ts'
import type { Container, KubernetesObject } from '../chart.harness.ts'
import { dataOf, environmentOf } from '../environment.harness.ts'
import type { Data } from '../environment.harness.ts'
import { issueCertificates } from './certificates.ts'
import { Names } from './names.ts'
import { Volumes } from './volumes.ts'

export type Workload = ReturnType<typeof workloadsOf>[number]

export interface Pod {
  readonly name: string
  /** Of its container: gateway, coordinator, worker. */
  readonly role: string
  readonly ip: string
  readonly workload: Workload
  readonly program: Program
}

const SERVICES = path.resolve(import.meta.dirname, '..', '..', '..', 'services')
const KEYS = { accessKeyId: 'loopback', secretAccessKey: 'loopback-secret' }
const S3_SECRET = { 'access-key-id': KEYS.accessKeyId, 'secret-access-key': KEYS.secretAccessKey }
const READY_TIMEOUT_MS = 60_000
const POLL_MS = 50

/**
 * What a chart renders, as processes of this machine: each pod has an address of loopback with the ports of its manifest, its
 * environment, its volumes in a folder, and its names in a DNS of the cluster's own. nats-server and an S3 server are real too;
 * the latter is where the manifests say, or, where they say nothing, what an identity of a cloud would lead to.
 */
export class LoopbackCluster implements AsyncDisposable {
  readonly objects: readonly KubernetesObject[]
  readonly folder: string
  readonly storeConfig: ObjectStoreConfig
  readonly #names: Names
  readonly #secrets: Data
  readonly #configMaps: Data
  readonly #cloud: Readonly<Record<string, string>>
  readonly #pods = new Set<Pod>()
  readonly #nats: NatsServer[] = []
  readonly #stack: AsyncDisposableStack

  private constructor(parts: {
    objects: readonly KubernetesObject[]
    folder: string
    names: Names
    secrets: Data
    s3Url: string
    stack: AsyncDisposableStack
  }) {
    const { objects, folder, names, secrets, s3Url, stack } = parts
    this.objects = objects
    this.folder = folder
    this.#names = names
    this.#secrets = secrets
    this.#stack = stack
    this.#configMaps = dataOf(objects, 'ConfigMap')
    this.#cloud = {
      AWS_ENDPOINT_URL_S3: s3Url,
      AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
    }
    const bucket = variableOf(objects, 'DARKROOM_S3_BUCKET')!
    this.storeConfig = { endpoint: s3Url, region: 'us-east-1', bucket, forcePathStyle: true, ...KEYS }
  }

  /**
   * Starts NATS and the object store with the farm's bucket; pods come one by one.
   * @param secrets what the operator would have made
   */
  static async start(options: {
    objects: readonly KubernetesObject[]
    folder: string
    secrets?: Data
  }): Promise<LoopbackCluster> {
    const { objects, folder } = options
    await using stack = new AsyncDisposableStack()
    mkdirSync(path.join(folder, 'logs'), { recursive: true })
    const names = new Names(path.join(folder, 'names.json'))
    const { hostname, port } = new URL(variableOf(objects, 'DARKROOM_S3_ENDPOINT') ?? 'http://s3.cloud.svc:9000')
    const s3Host = names.newAddress()
    names.add(hostname, s3Host)
    const directory = path.join(folder, 's3')
    const s3 = stack.use(await startS3Server({ directory, host: s3Host, port: Number(port), fsync: false, ...KEYS }))
    const nats = workloadsOf(objects).find(({ container }) => container['name'] === 'nats')
    const natsAddresses = Array.from({ length: nats?.object['spec'].replicas ?? 0 }, () => names.newAddress())
    const natsSecret = nats?.pod.volumes.find(({ name }: { name: string }) => name === 'tls')?.secret.secretName
    const secrets = {
      'darkroom-s3': S3_SECRET,
      ...options.secrets,
      ...dataOf(objects, 'Secret'),
      // Servers of NATS find each other by address, since only Node processes ask our DNS.
      ...issueCertificates(objects, { [natsSecret ?? '']: natsAddresses }),
    }
    await using guard = new AsyncDisposableStack()
    const cluster = guard.use(
      new LoopbackCluster({ objects, folder, names, secrets, s3Url: s3.url, stack: stack.move() }),
    )
    using store = ObjectStore.open(cluster.storeConfig)
    await store.ensureBucket()
    if (nats !== undefined) await cluster.#startNats(nats, natsAddresses)
    guard.move()
    return cluster
  }

  workload(role: string): Workload {
    const found = workloadsOf(this.objects).filter(({ object, container }) => {
      return object.kind !== 'Pod' && container['name'] === role
    })
    if (found.length !== 1) throw new Error(`${found.length} workloads have a container ${role}`)
    return found[0]!
  }

  /** The servers of NATS, by their ordinals. */
  get nats(): readonly NatsServer[] {
    return this.#nats
  }

  /** What a pod of the secret's readers would find in it. */
  secret(name: string): Readonly<Record<string, string>> {
    return this.#secrets[name]!
  }

  pods(role: string): readonly Pod[] {
    return [...this.#pods].filter((pod) => pod.role === role)
  }

  /** Starts a pod, and resolves when it is ready. */
  async startPod(workload: Workload, name: string): Promise<Pod> {
    const { container, object } = workload
    // The image knows the command.
    if ('command' in container || 'args' in container) throw new Error(`${name} does not run what its image does`)
    const role = container['name'] as string
    const ip = this.#names.newAddress()
    this.#nameOf(object, name, ip)
    const { environment } = this.#insideOf(workload, name, ip)
    const program = await startProgram({
      name,
      main: path.join(SERVICES, role, 'src/main.ts'),
      env: { ...this.#cloud, ...environment, ...this.#names.environment },
      logFolder: path.join(this.folder, 'logs'),
    })
    const pod = { name, role, ip, workload, program }
    this.#pods.add(pod)
    await this.#ready(pod)
    return pod
  }

  /**
   * Ends a pod as the kubelet does: preStop, SIGTERM, and SIGKILL for what has not ended within its grace.
   * @returns how long it took, and whether it had to be killed
   */
  async endPod(pod: Pod): Promise<{ readonly seconds: number; readonly wasKilled: boolean }> {
    const { container, pod: spec } = pod.workload
    const begun = performance.now()
    const preStopMs = (container['lifecycle']?.preStop.sleep.seconds ?? 0) * 1000
    await delay(preStopMs)
    let wasKilled = false
    const force = setTimeout(
      () => {
        wasKilled = true
        pod.program.kill('SIGKILL')
      },
      spec.terminationGracePeriodSeconds * 1000 - preStopMs,
    )
    pod.program.kill('SIGTERM')
    await pod.program.exited
    clearTimeout(force)
    this.#pods.delete(pod)
    this.#names.remove(pod.ip)
    return { seconds: (performance.now() - begun) / 1000, wasKilled }
  }

  /** Workers first: they hand back what they hold while the others still listen. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const role of ['gateway', 'worker', 'coordinator'])
      await Promise.all(this.pods(role).map(({ program }) => program.stop()))
    await Promise.all(this.#nats.map((server) => server.stop()))
    await this.#stack.disposeAsync()
  }

  /** What a container finds: its volumes, and its environment with their paths on this machine. */
  #insideOf({ pod, container }: Workload, name: string, ip: string) {
    const data = { secrets: this.#secrets, configMaps: this.#configMaps }
    const volumes = new Volumes(path.join(this.folder, 'pods', `${name}-${ip}`), pod, container, data)
    const rendered = environmentOf(container, { podName: name, podIp: ip, secrets: this.#secrets })
    const moved = Object.entries(rendered).map(([variable, value]) => {
      // Every address of the pod: it has one.
      return [variable, value === '0.0.0.0' ? ip : volumes.pathOf(value)] as const
    })
    return { volumes, environment: Object.fromEntries(moved) as Record<string, string> }
  }

  async #startNats(workload: Workload, addresses: readonly string[]): Promise<void> {
    const { object, container } = workload
    const podNames = addresses.map((_, ordinal) => `${object.metadata.name}-${ordinal}`)
    for (const [ordinal, ip] of addresses.entries()) this.#nameOf(object, podNames[ordinal]!, ip)
    const starting = addresses.map(async (host, ordinal) => {
      const { volumes, environment } = this.#insideOf(workload, podNames[ordinal]!, host)
      const [option, file] = container['args'] as readonly [string, string]
      if (option !== '--config') throw new Error(`nats-server is started with ${option}`)
      const written = this.#configMaps[object.metadata.name]![path.basename(file)]!
      const configFile = volumes.pathOf(file)
      const moved = volumes
        .movedIn(written)
        .replace('port: 6222', `host: ${host}, port: 6222`)
        .replaceAll(/[\w-]+(?:\.[\w-]+)+\.svc(?=:6222)/g, (name) => this.#names.addressesOf(name)[0]!)
      writeFileSync(`${configFile}.here`, moved)
      const directory = path.join(this.folder, podNames[ordinal]!)
      const options = { directory, host, port: 4222, configFile: `${configFile}.here`, env: environment }
      return startNatsServer({ ...options, scheme: /^tls \{/m.test(written) ? 'tls' : 'nats' })
    })
    this.#nats.push(...(await Promise.all(starting)))
  }

  /** The names that a pod has by its StatefulSet's headless service. */
  #nameOf({ kind, spec }: KubernetesObject, podName: string, ip: string): void {
    if (kind !== 'StatefulSet') return
    const service = `${spec.serviceName}.${NAMESPACE}.svc`
    this.#names.add(service, ip)
    this.#names.add(`${podName}.${service}`, ip)
  }

  async #ready({ name, ip, workload, program }: Pod): Promise<void> {
    const { path: at, port } = workload.container['readinessProbe'].httpGet
    const ports = workload.container['ports'] as readonly { name: string; containerPort: number }[]
    const url = `http://${ip}:${ports.find((one) => one.name === port)!.containerPort}${at}`
    const until = performance.now() + READY_TIMEOUT_MS
    while (performance.now() < until && program.isRunning()) {
      const isReady = await fetch(url).then(
        ({ ok }) => ok,
        () => false,
      )
      if (isReady) return
      await delay(POLL_MS)
    }
    throw new Error(`${name} did not become ready: see ${program.logFile}`)
  }
}

/** The value of a variable that some service of the farm has in its manifest. */
function variableOf(objects: readonly KubernetesObject[], name: string): string | undefined {
  const entries = workloadsOf(objects).flatMap(({ container }: { container: Container }) => container['env'] ?? [])
  return (entries as readonly { name: string; value?: string }[]).find((entry) => entry.name === name)?.value
}
