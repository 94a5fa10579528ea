import { createLogger, FarmNats, Secret } from '@darkroom/chassis'
import { inboxPrefix, shardSubject, workerConsumer } from '@darkroom/proto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { render, renderCi, theOne, workloadsOf } from './chart.harness.ts'
import { LoopbackCluster } from './loopback/mod.ts'

const USERS = 'farm-darkroom-nats-users'
const API = '$JS.API'
const log = createLogger('test', 'silent')
const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-users-'))
const stack = new AsyncDisposableStack()
stack.defer(() => rmSync(folder, { recursive: true, force: true }))
let cluster: LoopbackCluster
let coordinator: FarmNats
let worker: FarmNats

/** Logs in with what is mounted into the pods of a user. */
async function connect(name: string, user: string): Promise<FarmNats> {
  const login = { user, password: new Secret(cluster.secret(USERS)[user]!) }
  return stack.use(await FarmNats.connect({ servers: cluster.nats[0]!.url, name, login }, log))
}

beforeAll(async () => {
  cluster = stack.use(await LoopbackCluster.start({ objects: renderCi('cpu-only'), folder }))
  coordinator = await connect('coordinator', 'coordinator')
  await coordinator.ensureStreams()
  worker = await connect(workerConsumer('taken-over'), 'worker')
})
afterAll(() => stack.disposeAsync())

/** Resolves with the server's word for what it refuses. */
async function refusalOf(act: () => unknown): Promise<string> {
  const status = worker.connection.status()
  act()
  for await (const { type, permissionContext } of status as AsyncIterable<{
    type: string
    permissionContext?: { operation: string; subject: string }
  }>)
    if (type === 'error') return `${permissionContext?.operation} ${permissionContext?.subject}`
  throw new Error('the connection ended')
}

describe("with the chart's own NATS a worker is refused", () => {
  test.for([
    ['to delete a stream', `${API}.STREAM.DELETE.DARKROOM_SHARDS`],
    ['to purge a stream', `${API}.STREAM.PURGE.DARKROOM_SHARDS`],
    ['to withdraw a shard', `${API}.STREAM.MSG.DELETE.DARKROOM_SHARDS`],
    ['to read a message by its number', `${API}.STREAM.MSG.GET.DARKROOM_SHARDS`],
    ['to make a stream that copies others', `${API}.STREAM.CREATE.COPY`],
    ["to delete another's consumer", `${API}.CONSUMER.DELETE.DARKROOM_SHARDS.worker-other`],
    ['to take completions', `${API}.CONSUMER.MSG.NEXT.DARKROOM_COMPLETIONS.coordinator`],
    ['to make a consumer of every subject', `${API}.CONSUMER.CREATE.DARKROOM_SHARDS.worker-taken-over`],
    ['to give shards to itself', shardSubject('taken-over')],
    ['to give shards to others', shardSubject('other')],
    ['to take the lease of the leader', '$KV.DARKROOM_LEADER.coordinator'],
  ] as const)('%s', async ([, subject]) => {
    expect(await refusalOf(() => worker.connection.publish(subject))).toBe(`publish ${subject}`)
  })

  test.for(['darkroom.v1.shard.complete', shardSubject('other'), '$KV.>', '>'])('to listen to %s', async (subject) => {
    expect(await refusalOf(() => worker.connection.subscribe(subject))).toBe(`subscription ${subject}`)
  })

  test("what the coordinators are answered, for all that it hears other workers' answers", async () => {
    const inbox = `${inboxPrefix('coordinator')}.>`
    expect(await refusalOf(() => worker.connection.subscribe(inbox))).toBe(`subscription ${inbox}`)
    const heard = worker.connection.subscribe('darkroom.v1.inbox.*.>')
    await worker.connection.flush()
    expect((await coordinator.ensureStreams()).created).toEqual([])
    const other = await connect(workerConsumer('other'), 'worker')
    await other.connection.request(`${API}.CONSUMER.INFO.DARKROOM_SHARDS.worker-other`)
    for await (const { subject } of heard) {
      expect(subject).toContain(inboxPrefix(workerConsumer('other')))
      return
    }
  })
})

test("who has no user of the chart's own NATS has no connection", async () => {
  const servers = cluster.nats[0]!.url
  const refusal = { code: 'NATS_UNAVAILABLE', message: expect.stringContaining('check DARKROOM_NATS_USER') }
  await expect(FarmNats.connect({ servers, name: 'stranger' }, log)).rejects.toMatchObject(refusal)
  const login = { user: 'coordinator', password: new Secret(cluster.secret(USERS)['worker']!) }
  await expect(FarmNats.connect({ servers, name: 'worker', login }, log)).rejects.toMatchObject(refusal)
})

test('passwords are made by the chart or come from a secret of the operator, and each pod is given its own alone', async () => {
  expect(theOne(renderCi('cpu-only'), 'Secret', '-nats-users')['metadata'].annotations).toEqual({
    'helm.sh/resource-policy': 'keep',
  })
  const objects = await render('--set', 'nats.existingSecret=mine')
  expect(objects.filter(({ kind }) => kind === 'Secret')).toEqual([])
  const read = workloadsOf(objects).map(({ container }) => {
    const entries = (container['env'] ?? []) as { valueFrom?: { secretKeyRef?: { name: string; key: string } } }[]
    const refs = entries.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? [])
    return [container['name'], refs.filter(({ name }) => name === 'mine').map(({ key }) => key)]
  })
  expect(Object.fromEntries(read)).toEqual({
    gateway: [],
    coordinator: ['coordinator'],
    worker: ['worker'],
    nats: ['coordinator', 'worker'],
    test: [],
  })
})

test('the coordinators may do the same whether workers have users of their own or share one', () => {
  const [each, shared] = ['accounts.conf', 'pool.conf'].map((name) => {
    const text = readFileSync(path.resolve(import.meta.dirname, '..', 'nats', name), 'utf8')
    return /user: coordinator[^]*?\n {6}\}/.exec(text)![0]
  })
  expect(each).toContain('subscribe: ["darkroom.v1.inbox.coordinator.>"]')
  expect(shared).toBe(each)
})
