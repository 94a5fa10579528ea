import { ObjectStore, pushCheckpoint } from '@darkroom/chassis'
import { GatewayClient } from '@darkroom/cli'
import { findNatsServer, freePort, startNatsServer, startProgram } from '@darkroom/local'
import { startS3Server } from '@darkroom/local/s3'
import { execFile, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { CI_VALUES, renderCi, theOne, workloadsOf } from './chart.harness.ts'
import { environmentOf } from './environment.harness.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const KEYS = { accessKeyId: 'chart', secretAccessKey: 'chart-on-loopback' }
const SECRETS = {
  'darkroom-s3': { 'access-key-id': KEYS.accessKeyId, 'secret-access-key': KEYS.secretAccessKey },
}

function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-chart-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Text with what can only be so in a cluster put where it is here; each must occur, so that nothing else is replaced. */
function movedHere(text: string, moves: readonly (readonly [string, string])[]): string {
  return moves.reduce((moved, [from, to]) => {
    expect(moved).toContain(from)
    return moved.replaceAll(from, to)
  }, text)
}

test(
  'what is rendered for a farm on CPUs starts as real processes, and they render a picture',
  { timeout: 90_000 },
  async () => {
    const folder = temporaryFolder()
    const objects = renderCi('cpu-only')
    await using s3 = await startS3Server({ directory: path.join(folder, 's3'), fsync: false, ...KEYS })
    const configFile = path.join(folder, 'nats.conf')
    const written = theOne(objects, 'ConfigMap', '-nats')['data']['nats.conf'] as string
    writeFileSync(
      configFile,
      movedHere(written, [
        ['$POD_NAME', 'nats-0'],
        ['http_port: 8222', 'http_port: -1'],
        ['/data', path.join(folder, 'nats')],
      ]),
    )
    await using nats = await startNatsServer({ directory: path.join(folder, 'nats'), configFile })
    using store = ObjectStore.open({
      endpoint: s3.url,
      region: 'us-east-1',
      bucket: 'darkroom',
      forcePathStyle: true,
      ...KEYS,
    })
    await store.ensureBucket()
    await pushCheckpoint(store, path.join(ROOT, 'deploy/checkpoints/emoji-sd'), { name: 'emoji-sd', tag: 'latest' })
    const tenants = path.join(folder, 'tenants.json')
    writeFileSync(tenants, theOne(objects, 'ConfigMap', '-tenants')['data']['tenants.json'])

    const coordinatorPort = await freePort()
    const storePlace = ['http://s3.storage.svc:8333', s3.url] as const
    const natsPlace = ['nats://farm-darkroom-nats.render.svc:4222', nats.url] as const
    const tenantsPlace = ['/etc/darkroom/tenants/tenants.json', tenants] as const
    const coordinatorPlace = [
      'farm-darkroom-coordinator-0.farm-darkroom-coordinator.render.svc:50051',
      `127.0.0.1:${coordinatorPort}`,
    ] as const
    const places = {
      coordinator: [storePlace, natsPlace, tenantsPlace, ['"50051"', `"${coordinatorPort}"`], ['"9091"', '"0"']],
      worker: [
        storePlace,
        natsPlace,
        coordinatorPlace,
        ['/var/cache/darkroom', path.join(folder, 'cache')],
        ['"50052"', '"0"'],
        ['"9092"', '"0"'],
      ],
      gateway: [
        storePlace,
        coordinatorPlace,
        tenantsPlace,
        ['0.0.0.0', '127.0.0.1'],
        ['"8080"', '"0"'],
        ['"9090"', '"0"'],
      ],
    } as const satisfies Record<string, readonly (readonly [string, string])[]>

    await using programs = new AsyncDisposableStack()
    const start = async (role: keyof typeof places) => {
      const { container } = workloadsOf(objects).find((workload) => workload.container['name'] === role)!
      // The image knows the command.
      expect(container).not.toHaveProperty('command')
      expect(container).not.toHaveProperty('args')
      const environment = environmentOf(container, { podName: `${role}-pod`, secrets: SECRETS })
      mkdirSync(path.join(folder, 'logs'), { recursive: true })
      const program = await startProgram({
        name: role,
        main: path.join(ROOT, 'services', role, 'src/main.ts'),
        env: JSON.parse(movedHere(JSON.stringify(environment), places[role])) as Record<string, string>,
        logFolder: path.join(folder, 'logs'),
      })
      programs.defer(() => program.stop())
      return program
    }
    const coordinator = await start('coordinator')
    const gateway = await start('gateway')
    const metrics = async (): Promise<string> =>
      (await fetch(`http://127.0.0.1:${coordinator.ready.adminPort}/metrics`)).text()

    // The checkpoint is the default of the chart's values.
    const client = new GatewayClient(`http://127.0.0.1:${gateway.ready.httpPort}`)
    const { id } = await client.submitJson({ items: [{ prompt: 'a red apple', seed: 1, numInferenceSteps: 4 }] })
    await expect.poll(metrics, { timeout: 10_000 }).toMatch(/^darkroom_queue_items 1$/m)
    await start('worker')
    let state = ''
    for await (const batch of client.follow(id, AbortSignal.timeout(60_000))) state = batch.state
    expect(state).toBe('completed')
    const [line] = (await (await client.download(`/api/v1/batches/${id}/output.jsonl`)).text()).split('\n')
    const image = (JSON.parse(line!) as { images: { name: string }[] }).images[0]!
    const picture = await client.download(`/api/v1/batches/${id}/images/${image.name}`)
    expect(
      Buffer.from(await picture.arrayBuffer())
        .subarray(1, 4)
        .toString(),
    ).toBe('PNG')
    // `helm test` finds all well.
    const { container: tester } = workloadsOf(objects).find(({ container }) => container['name'] === 'test')!
    const [program, ...options] = tester['command']
    const script = movedHere(tester['args'][0], [['http://farm-darkroom-gateway:80', client.url]])
    expect(program).toBe('node')
    const { stdout } = await promisify(execFile)(process.execPath, [...options, script], { encoding: 'utf8' })
    expect(stdout).toBe('/openapi.json 200\n/api/v1/schedulers 200\n/api/v1/workers 200\n')
    // What pools are scaled by is there and back at nothing.
    const scaled = theOne(renderCi('multi-pool'), 'ScaledObject', '-spot')['spec'].triggers
    for (const { metadata } of scaled) {
      const name = /darkroom_\w+/.exec(metadata.query)![0]
      expect(await metrics()).toMatch(new RegExp(`^${name} 0$`, 'm'))
    }
  },
)

test.for(Object.keys(CI_VALUES).filter((name) => name !== 'external-nats'))(
  'nats-server takes the configuration of %s',
  (name) => {
    const folder = temporaryFolder()
    const written = theOne(renderCi(name), 'ConfigMap', '-nats')['data']['nats.conf'] as string
    const config = path.join(folder, 'nats.conf')
    writeFileSync(config, movedHere(written, [['/data', folder]]))
    const { status, stderr } = spawnSync(findNatsServer()!, ['--config', config, '-t'], {
      encoding: 'utf8',
      env: { POD_NAME: 'farm-darkroom-nats-0' },
    })
    // Certificates are for the cluster to make: that it asks for them is as far as this can go.
    if (name === 'mtls') expect(stderr).toContain('/etc/darkroom/tls/tls.crt')
    else expect({ status, stderr }).toMatchObject({ status: 0, stderr: expect.stringContaining('is valid') })
  },
)
