import { createGrpcClient, createLogger, FarmNats, ObjectStore, pushCheckpoint } from '@darkroom/chassis'
import { GatewayClient } from '@darkroom/cli'
import { findNatsServer } from '@darkroom/local'
import { CoordinatorService } from '@darkroom/proto'
import { execFile, spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { CI_VALUES, renderCi, theOne, workloadsOf } from './chart.harness.ts'
import type { KubernetesObject } from './chart.harness.ts'
import { LoopbackCluster } from './loopback/mod.ts'
import type { Pod } from './loopback/mod.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')

function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-chart-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function startCluster(name: string): Promise<LoopbackCluster> {
  const cluster = await LoopbackCluster.start({ objects: renderCi(name), folder: temporaryFolder() })
  onTestFinished(() => cluster[Symbol.asyncDispose]())
  using store = ObjectStore.open(cluster.storeConfig)
  await pushCheckpoint(store, path.join(ROOT, 'deploy/checkpoints/emoji-sd'), { name: 'emoji-sd', tag: 'latest' })
  return cluster
}

/** What nats-server refused; empty where everybody kept to the rights of their user. */
function refusalsOf(cluster: LoopbackCluster): readonly string[] {
  const logs = globSync('*/nats-server.log', { cwd: cluster.folder })
  expect(logs).toHaveLength(cluster.nats.length)
  return logs.flatMap((log) => {
    const lines = readFileSync(path.join(cluster.folder, log), 'utf8').split('\n')
    return lines.filter((line) => /violation/iu.test(line))
  })
}

async function metricsOf({ ip }: Pod): Promise<string> {
  return (await fetch(`http://${ip}:9091/metrics`)).text()
}

/** Follows a batch of one picture to its end and looks at the picture. */
async function expectPicture(client: GatewayClient, id: string): Promise<void> {
  let state = ''
  for await (const batch of client.follow(id, AbortSignal.timeout(60_000))) state = batch.state
  expect(state).toBe('completed')
  const [line] = (await (await client.download(`/api/v1/batches/${id}/output.jsonl`)).text()).split('\n')
  const image = (JSON.parse(line!) as { images: { name: string }[] }).images[0]!
  const picture = await client.download(`/api/v1/batches/${id}/images/${image.name}`)
  const bytes = Buffer.from(await picture.arrayBuffer())
  expect(bytes.subarray(1, 4).toString()).toBe('PNG')
}

/** Somebody waits for it: it comes by a queue of its own, which the worker's user must have the rights for. */
async function expectPictureNow({ url }: GatewayClient): Promise<void> {
  const body = { model: 'emoji-sd', prompt: 'a red apple', seed: 1, num_inference_steps: 4 }
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${url}/v1/images/generations`, { method: 'POST', headers, body: JSON.stringify(body) })
  expect(response.status).toBe(200)
  const { data } = (await response.json()) as { data: { b64_json: string }[] }
  expect(Buffer.from(data[0]!.b64_json, 'base64').toString('latin1', 1, 4)).toBe('PNG')
}

const ITEMS = [{ checkpoint: 'emoji-sd', prompt: 'a red apple', seed: 1, numInferenceSteps: 4 }]

test(
  'what is rendered for a farm on CPUs starts as real processes, and they render a picture',
  { timeout: 90_000 },
  async () => {
    const cluster = await startCluster('cpu-only')
    const coordinator = await cluster.startPod(cluster.workload('coordinator'), 'farm-darkroom-coordinator-0')
    const gateway = await cluster.startPod(cluster.workload('gateway'), 'gateway-pod')
    const client = new GatewayClient(`http://${gateway.ip}:8080`)
    // The checkpoint is the default of the chart's values.
    const { id } = await client.submitJson({ items: [{ ...ITEMS[0], checkpoint: undefined }] })
    await expect.poll(() => metricsOf(coordinator), { timeout: 10_000 }).toMatch(/^darkroom_queue_items 1$/m)
    await cluster.startPod(cluster.workload('worker'), 'worker-pod')
    await expectPicture(client, id)
    await expectPictureNow(client)
    expect(refusalsOf(cluster)).toEqual([])
    // `helm test` finds all well.
    const { container: tester } = workloadsOf(cluster.objects).find(({ container }) => container['name'] === 'test')!
    const [program, ...options] = tester['command']
    expect(program).toBe('node')
    expect(tester['args'][0]).toContain('http://farm-darkroom-gateway:80')
    const script = tester['args'][0].replaceAll('http://farm-darkroom-gateway:80', client.url)
    const { stdout } = await promisify(execFile)(process.execPath, [...options, script], { encoding: 'utf8' })
    expect(stdout).toBe('/openapi.json 200\n/api/v1/schedulers 200\n/api/v1/workers 200\n')
    // What pools are scaled by is there and back at nothing.
    const { triggers } = theOne(renderCi('multi-pool'), 'ScaledObject', '-spot')['spec']
    const queries = triggers.flatMap(({ metadata: { query = [] } }: KubernetesObject) => query) as string[]
    expect(queries).toHaveLength(2)
    for (const query of queries) {
      const name = /darkroom_\w+/.exec(query)![0]
      expect(await metricsOf(coordinator)).toMatch(new RegExp(`^${name} 0$`, 'm'))
    }
  },
)

test(
  'with mutual TLS, certificates as cert-manager would issue them let the farm render a picture, and nobody else in',
  { timeout: 120_000 },
  async () => {
    const cluster = await startCluster('mtls')
    const coordinators = await Promise.all(
      [0, 1].map((n) => cluster.startPod(cluster.workload('coordinator'), `farm-darkroom-coordinator-${n}`)),
    )
    const [gateway] = await Promise.all([
      cluster.startPod(cluster.workload('gateway'), 'gateway-pod'),
      cluster.startPod(cluster.workload('worker'), 'worker-pod'),
    ])
    const client = new GatewayClient(`http://${gateway.ip}:8080`)
    const { id } = await client.submitJson({ items: ITEMS })
    await expectPicture(client, id)
    expect(refusalsOf(cluster)).toEqual([])

    using stranger = createGrpcClient(CoordinatorService, `${coordinators[0]!.ip}:50051`, { defaultTimeoutMs: 5_000 })
    await expect(stranger.listBatches({})).rejects.toMatchObject({ code: 'COORDINATOR_UNAVAILABLE' })
    const servers = cluster.nats[0]!.url.replace('tls:', 'nats:')
    await expect(FarmNats.connect({ servers, name: 'stranger' }, createLogger('test', 'silent'))).rejects.toMatchObject(
      {
        code: 'NATS_UNAVAILABLE',
      },
    )
  },
)

test.for(Object.keys(CI_VALUES).filter((name) => name !== 'external-nats'))(
  'nats-server takes the configuration of %s',
  (name) => {
    const folder = temporaryFolder()
    const written = theOne(renderCi(name), 'ConfigMap', '-nats')['data']['nats.conf'] as string
    const config = path.join(folder, 'nats.conf')
    expect(written).toContain('/data')
    writeFileSync(config, written.replaceAll('/data', folder))
    const { status, stderr } = spawnSync(findNatsServer()!, ['--config', config, '-t'], {
      encoding: 'utf8',
      env: {
        POD_NAME: 'farm-darkroom-nats-0',
        DARKROOM_NATS_PASSWORD_COORDINATOR: '"one"',
        DARKROOM_NATS_PASSWORD_WORKER: '"2e4"',
      },
    })
    // Certificates are for the cluster to make: that it asks for them is as far as this can go.
    if (name === 'mtls') expect(stderr).toContain('/etc/darkroom/tls/tls.crt')
    else expect({ status, stderr }).toMatchObject({ status: 0, stderr: expect.stringContaining('is valid') })
  },
)
