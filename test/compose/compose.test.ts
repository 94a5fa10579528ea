import { ObjectStore, pushCheckpoint, readConfig } from '@darkroom/chassis'
import type { VariableTable } from '@darkroom/chassis'
import { GatewayClient } from '@darkroom/cli'
import { COORDINATOR_VARIABLES } from '@darkroom/coordinator/config'
import { GATEWAY_VARIABLES } from '@darkroom/gateway/config'
import { freePort, startNatsServer, startProgram } from '@darkroom/local'
import { startS3Server } from '@darkroom/local/s3'
import { WORKER_VARIABLES } from '@darkroom/worker/config'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'

const FOLDER = path.resolve(import.meta.dirname, '../../deploy/compose')
const ROOT = path.resolve(FOLDER, '../..')
const SECRET = randomBytes(16).toString('hex')
const TABLES: Readonly<Record<string, VariableTable>> = {
  gateway: GATEWAY_VARIABLES,
  coordinator: COORDINATOR_VARIABLES,
  worker: WORKER_VARIABLES,
}

interface Service {
  readonly image: string
  readonly environment?: Readonly<Record<string, string>>
  readonly volumes?: readonly string[]
  readonly ports?: readonly string[]
  readonly secrets?: readonly string[]
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: { readonly test: readonly string[] }
  readonly stop_grace_period?: string
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly secrets: Readonly<Record<string, { readonly file: string }>>
}

interface ScrapeConfig {
  readonly job_name: string
  readonly static_configs?: readonly { readonly targets: readonly string[] }[]
  readonly dns_sd_configs?: readonly { readonly names: readonly string[]; readonly port: number }[]
}

/** As docker compose reads it: variables put in, merged. */
function compose(): Compose {
  const text = readFileSync(path.join(FOLDER, 'compose.yaml'), 'utf8')
  const filled = text.replaceAll(/\$\{(\w+):([-?])([^}]*)\}/g, (_, name: string, kind: string, rest: string) => {
    if (name === 'S3_SECRET_ACCESS_KEY') return SECRET
    expect(kind, name).toBe('-')
    return rest
  })
  return parse(filled, { merge: true }) as Compose
}

const { services, secrets } = compose()

describe.each(Object.entries(TABLES))('%s', (role, table) => {
  test('is given variables that it knows, with values that it takes', () => {
    const environment = services[role]!.environment!
    const known = new Set(Object.values(table).map(({ name }) => name))
    expect(Object.keys(environment).filter((name) => !known.has(name))).toEqual([])
    const { DARKROOM_GATEWAY_ROOT_KEYS_FILE: _, ...rest } = environment
    readConfig(table, rest)
  })

  test('has longer to stop than it takes', () => {
    const grace = Number(/^(\d+)s$/.exec(services[role]!.stop_grace_period ?? '')?.[1])
    const { graceMs = 28_000 } = readConfig(table, { DARKROOM_S3_BUCKET: 'x' }) as { graceMs?: number }
    expect(grace * 1000).toBeGreaterThan(graceMs)
  })
})

test('what is mounted is there, what is a secret is in no image, and only loopback is listened on', () => {
  for (const [name, { volumes = [], ports = [], image }] of Object.entries(services)) {
    for (const volume of volumes.filter((one) => one.startsWith('.')))
      expect(existsSync(path.resolve(FOLDER, volume.split(':')[0]!)), `${name}: ${volume}`).toBe(true)
    for (const port of ports) expect(port, name).toMatch(/^127\.0\.0\.1:/)
    expect(image, name).toMatch(/:\d|:v\d/)
  }
  const ignored = readFileSync(path.join(ROOT, '.gitignore'), 'utf8')
  expect(ignored).toContain('deploy/compose/secrets/')
  for (const { file } of Object.values(secrets)) expect(file).toMatch(/^\.\/secrets\//)
  for (const { depends_on: needs = {} } of Object.values(services))
    for (const other of Object.keys(needs)) expect(Object.keys(services)).toContain(other)
})

test('what runs for long says when it is ready, and what needs it waits for that', () => {
  for (const [name, { healthcheck }] of Object.entries(services))
    expect(healthcheck?.test[0], name).toBe(name === 'bucket' ? undefined : 'CMD')
  for (const [name, { depends_on: needs = {} }] of Object.entries(services))
    for (const [other, { condition }] of Object.entries(needs))
      expect(condition, name).toBe(other === 'bucket' ? 'service_completed_successfully' : 'service_healthy')
})

/** What docker makes of a service's check, with its process on another admin port; the images have node. */
async function isHealthy(role: string, adminPort: number): Promise<boolean> {
  const [kind, command, ...options] = services[role]!.healthcheck!.test
  expect([kind, command]).toEqual(['CMD', 'node'])
  const declared = services[role]!.environment![`DARKROOM_${role.toUpperCase()}_ADMIN_PORT`]!
  const moved = options.map((option) => option.replace(`:${declared}/`, `:${adminPort}/`))
  expect(moved).not.toEqual(options)
  return promisify(execFile)(process.execPath, moved).then(
    () => true,
    () => false,
  )
}

test('Prometheus asks the admin ports that the services listen on', () => {
  const file = path.join(FOLDER, '../prometheus/prometheus.yml')
  const { scrape_configs: jobs } = parse(readFileSync(file, 'utf8')) as { scrape_configs: readonly ScrapeConfig[] }
  expect(jobs.map(({ job_name: job }) => job)).toEqual(Object.keys(TABLES))
  for (const { job_name: job, static_configs: named = [], dns_sd_configs: found = [] } of jobs) {
    const targets = [
      ...named.flatMap(({ targets: ones }) => ones),
      ...found.flatMap(({ names, port }) => names.map((name) => `${name}:${port}`)),
    ]
    expect(targets.length).toBeGreaterThan(0)
    for (const target of targets) {
      const { environment } = services[target.split(':')[0]!]!
      expect(target).toMatch(new RegExp(`:${environment![`DARKROOM_${job.toUpperCase()}_ADMIN_PORT`]}$`))
    }
  }
})

test('its environment starts the real processes, and they render a picture', { timeout: 90_000 }, async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-compose-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const keys = { accessKeyId: 'darkroom', secretAccessKey: SECRET }
  await using s3 = await startS3Server({ directory: path.join(folder, 's3'), fsync: false, ...keys })
  await using nats = await startNatsServer({ directory: path.join(folder, 'nats') })
  using store = ObjectStore.open({
    endpoint: s3.url,
    region: 'us-east-1',
    bucket: 'darkroom',
    forcePathStyle: true,
    ...keys,
  })
  await store.ensureBucket()
  await pushCheckpoint(store, path.join(ROOT, 'deploy/checkpoints/emoji-sd'), { name: 'emoji-sd', tag: 'latest' })
  const rootKey = randomBytes(32).toString('hex')
  const rootKeys = path.join(folder, 'root-keys')
  writeFileSync(rootKeys, `${rootKey}\n`)
  mkdirSync(path.join(folder, 'logs'))
  const port = await freePort()
  const moves: readonly (readonly [RegExp, string])[] = [
    [/^http:\/\/s3:8333$/, s3.url],
    [/^nats:\/\/nats:4222$/, nats.url],
    [/^coordinator:50051$/, `127.0.0.1:${port}`],
    [/^50051$/, String(port)],
    [/^(8080|9090|9091|9092|50052)$/, '0'],
    [/^0\.0\.0\.0$/, '127.0.0.1'],
    [/^\/run\/secrets\/root-keys$/, rootKeys],
    [/^\/var\/cache\/darkroom$/, path.join(folder, 'cache')],
  ]
  const moved = (value: string): string => moves.find(([from]) => from.test(value))?.[1] ?? value
  await using programs = new AsyncDisposableStack()
  const start = async (role: string) => {
    const environment = Object.entries(services[role]!.environment!).map(([name, value]) => [name, moved(value)])
    const program = await startProgram({
      name: role,
      main: path.join(ROOT, 'services', role, 'src/main.ts'),
      env: Object.fromEntries(environment) as Record<string, string>,
      logFolder: path.join(folder, 'logs'),
    })
    programs.defer(() => program.stop())
    return program
  }
  const coordinator = await start('coordinator')
  const gateway = await start('gateway')
  const worker = await start('worker')
  for (const [role, { ready }] of Object.entries({ coordinator, gateway, worker }))
    expect(await isHealthy(role, ready.adminPort!), role).toBe(true)
  expect(await isHealthy('gateway', await freePort())).toBe(false)
  const url = `http://127.0.0.1:${gateway.ready.httpPort}`
  expect((await fetch(`${url}/api/v1/me`)).status).toBe(401)
  const client = new GatewayClient(url, rootKey)
  const { id } = await client.submitJson({
    items: [{ checkpoint: 'emoji-sd', prompt: 'a red apple', numInferenceSteps: 3 }],
  })
  let state = ''
  for await (const batch of client.follow(id, AbortSignal.timeout(60_000))) state = batch.state
  expect(state).toBe('completed')
})
