import { inboxPrefix, shardSubject, workerConsumer } from '@darkroom/proto'
import { createInbox } from 'nats'
import type { NatsConnection } from 'nats'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { Secret } from './config.ts'
import { completion, shard, TestServer } from './nats.harness.ts'
import type { FarmNats } from './nats.ts'

const CONFIG = path.resolve(import.meta.dirname, '../../../../deploy/nats/accounts.conf')
const PASSWORDS = {
  DARKROOM_NATS_PASSWORD_COORDINATOR: 'one',
  DARKROOM_NATS_PASSWORD_WORKER_1: 'two',
  DARKROOM_NATS_PASSWORD_WORKER_2: 'three',
}

interface Farm {
  readonly server: TestServer
  readonly coordinator: FarmNats
  /** worker-1, of whom nothing good is to be expected. */
  readonly worker: FarmNats
  /** worker-2. */
  readonly neighbour: FarmNats
}

async function farm(): Promise<Farm> {
  const server = await TestServer.start({ configFile: CONFIG, env: PASSWORDS })
  const connect = (name: string, user: string, password: string): Promise<FarmNats> =>
    server.connect(name, { login: { user, password: new Secret(password) } })
  const coordinator = await connect('coordinator', 'coordinator', 'one')
  await coordinator.ensureStreams()
  const worker = await connect(workerConsumer('worker-1'), 'worker-1', 'two')
  return { server, coordinator, worker, neighbour: await connect(workerConsumer('worker-2'), 'worker-2', 'three') }
}

/** Resolves with the server's word for what it refuses next; a publish has no other answer. */
async function refusalOf({ connection }: FarmNats, act: (connection: NatsConnection) => unknown): Promise<string> {
  const status = connection.status()
  const refused = (async () => {
    for await (const { type, permissionContext } of status as AsyncIterable<{
      type: string
      permissionContext?: { operation: string; subject: string }
    }>)
      if (type === 'error') return `${permissionContext?.operation} ${permissionContext?.subject}`
    throw new Error('the connection ended')
  })()
  await act(connection)
  return refused
}

/** Asks as a worker that has read the documentation of JetStream would. */
async function ask(nats: FarmNats, subject: string, body: object = {}): Promise<string> {
  return refusalOf(nats, (connection) => {
    connection.publish(subject, JSON.stringify(body), { reply: createInbox(inboxPrefix(workerConsumer('worker-1'))) })
  })
}

test('workers and coordinator do their work with the rights that they have', async () => {
  const { coordinator, worker, neighbour } = await farm()
  await coordinator.dispatchShard('worker-1', shard('a'))
  await coordinator.dispatchShard('worker-2', shard('b'))
  const withdrawn = await coordinator.dispatchShard('worker-2', shard('c'))
  await coordinator.withdrawShard(withdrawn)
  const signal = new AbortController().signal
  for (const [nats, id, shardId] of [
    [worker, 'worker-1', 'a'],
    [neighbour, 'worker-2', 'b'],
  ] as const) {
    const delivery = await nats.nextShard(id, { expiresMs: 5_000, signal })
    expect(delivery?.assignment.shardId).toBe(shardId)
    delivery?.working()
    await delivery?.ack()
    await coordinator.dispatchShard(id, { ...shard(`${shardId}-now`), isInteractive: true })
    const awaited = await nats.nextShard(id, { queue: 'now', expiresMs: 5_000, signal })
    expect(awaited?.assignment.shardId).toBe(`${shardId}-now`)
    awaited?.working()
    await awaited?.ack()
    await nats.publishCompletion(completion(shardId))
  }
  const seen: string[] = []
  const stop = new AbortController()
  await coordinator.consumeCompletions(async ({ shardId }) => {
    seen.push(shardId)
    if (seen.length === 2) stop.abort()
  }, stop.signal)
  expect(seen).toEqual(['a', 'b'])
  await coordinator.purgeShards()
})

test('who has no user, or not its password, is told what to check', async () => {
  const { server } = await farm()
  const connect = (user: string, password: string): Promise<FarmNats> =>
    server.connect('x', { login: { user, password: new Secret(password) } })
  const refusal = {
    code: 'NATS_UNAVAILABLE',
    message: expect.stringContaining('check DARKROOM_NATS_USER and DARKROOM_NATS_PASSWORD'),
  }
  await expect(server.connect('x')).rejects.toMatchObject(refusal)
  await expect(connect('coordinator', 'two')).rejects.toMatchObject(refusal)
  await expect(connect('nobody', 'one')).rejects.toMatchObject(refusal)
})

describe('a worker is refused', () => {
  const API = '$JS.API'
  test.for([
    ['to delete a stream', `${API}.STREAM.DELETE.DARKROOM_SHARDS`],
    ['to purge a stream', `${API}.STREAM.PURGE.DARKROOM_SHARDS`],
    ['to delete a message', `${API}.STREAM.MSG.DELETE.DARKROOM_SHARDS`],
    ['to read a message by its number', `${API}.STREAM.MSG.GET.DARKROOM_SHARDS`],
    ['to make a stream that copies others', `${API}.STREAM.CREATE.COPY`],
    ['to change a stream', `${API}.STREAM.UPDATE.DARKROOM_SHARDS`],
    ["to take another's shards", `${API}.CONSUMER.MSG.NEXT.DARKROOM_SHARDS.worker-worker-2`],
    [
      "to take another's shards that somebody waits for",
      `${API}.CONSUMER.MSG.NEXT.DARKROOM_SHARDS.worker-worker-2=now`,
    ],
    ["to delete another's consumer", `${API}.CONSUMER.DELETE.DARKROOM_SHARDS.worker-worker-2`],
    ["to acknowledge another's shard", '$JS.ACK.DARKROOM_SHARDS.worker-worker-2.1.1.1.1.0'],
    [
      "to make a consumer of another's subject",
      `${API}.CONSUMER.CREATE.DARKROOM_SHARDS.worker-worker-1.darkroom.v1.shard.dispatch.worker-2`,
    ],
    ['to make a consumer in the old way', `${API}.CONSUMER.DURABLE.CREATE.DARKROOM_SHARDS.worker-worker-1`],
    ['to take completions', `${API}.CONSUMER.MSG.NEXT.DARKROOM_COMPLETIONS.coordinator`],
    ['to give shards to itself', shardSubject('worker-1')],
    ['to give shards to others', shardSubject('worker-2')],
    ['to take the lease of the leader', '$KV.DARKROOM_LEADER.coordinator'],
  ] as const)('%s', async ([, subject]) => {
    const { worker } = await farm()
    expect(await ask(worker, subject)).toBe(`publish ${subject}`)
  })

  test.for([
    'darkroom.v1.inbox.worker-worker-2.>',
    'darkroom.v1.inbox.coordinator.>',
    shardSubject('worker-2'),
    'darkroom.v1.shard.complete',
    '>',
  ])('to listen to %s', async (subject) => {
    const { worker } = await farm()
    expect(await refusalOf(worker, (connection) => void connection.subscribe(subject))).toBe(`subscription ${subject}`)
  })

  test("its own consumer with another's subject in the request's body, whatever stands in the request's own", async () => {
    const { coordinator, worker } = await farm()
    await coordinator.dispatchShard('worker-2', shard('theirs'))
    const name = workerConsumer('worker-1')
    const answer = await worker.connection.request(
      `$JS.API.CONSUMER.CREATE.DARKROOM_SHARDS.${name}.${shardSubject('worker-1')}`,
      JSON.stringify({
        stream_name: 'DARKROOM_SHARDS',
        config: { name, durable_name: name, filter_subject: shardSubject('worker-2'), ack_policy: 'explicit' },
      }),
    )
    expect(answer.json()).toMatchObject({ error: { code: 400 } })
  })
})

describe('the coordinator is refused', () => {
  test.for(['DARKROOM_SHARDS', 'DARKROOM_COMPLETIONS', 'KV_DARKROOM_LEADER'])('to delete %s', async (stream) => {
    const { coordinator } = await farm()
    const subject = `$JS.API.STREAM.DELETE.${stream}`
    expect(await refusalOf(coordinator, (connection) => connection.publish(subject))).toBe(`publish ${subject}`)
  })
})
