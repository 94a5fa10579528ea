import { createLogger, DarkroomError, implement, Metrics, startGrpcServer } from '@darkroom/chassis'
import type { CallContext, GrpcServer } from '@darkroom/chassis'
import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { WorkerLinkService, WorkerSchema } from '@darkroom/proto'
import type { AttachResponseSchema } from '@darkroom/proto'
import { EventEmitter, once } from 'node:events'
import { expect, test } from 'vitest'
import { createEvents } from '../events.ts'
import { CoordinatorLink } from './coordinator-link.ts'
import { PreviewOutbox } from './preview-outbox.ts'

const log = createLogger('test', 'silent')
const events = (): ReturnType<typeof createEvents> => createEvents(new Metrics(), log)

type Order = NonNullable<MessageInitShape<typeof AttachResponseSchema>['order']>
type Attach = Parameters<typeof implement<typeof WorkerLinkService>>[2]['attach']

const serve = (port: number, attach: Attach): Promise<GrpcServer> =>
  startGrpcServer({ host: '127.0.0.1', port, log, services: [implement(WorkerLinkService, ['worker'], { attach })] })

const untilGone = ({ signal }: CallContext): Promise<unknown> =>
  signal.aborted ? Promise.resolve() : once(signal, 'abort')

test('reports until it is told to stop, obeys orders, and attaches again when the coordinator comes back', async () => {
  const seen = new EventEmitter()
  const ordered: Order[] = [
    { case: 'welcome', value: { heartbeatIntervalMs: 20, meanSecondsBetweenLosses: 3_600 } },
    { case: 'cancelShard', value: { batchId: 'b', shardId: 's', attempt: 3 } },
    { case: 'cancelItems', value: { batchId: 'b', shardId: 's', items: [{ first: 2, last: 5 }] } },
    { case: 'drain', value: {} },
  ]
  const attach: Attach = async function* (requests, context) {
    void (async () => {
      for await (const { worker } of requests) seen.emit('report', worker?.id)
    })().catch(() => {})
    for (const order of ordered) yield { order }
    await untilGone(context)
  }
  const orders: unknown[] = []
  let server = await serve(0, attach)
  const { port } = server
  const link = new CoordinatorLink({
    coordinators: [`127.0.0.1:${port}`],
    describe: () => create(WorkerSchema, { id: 'w' }),
    previews: new PreviewOutbox(),
    onLossRate: (seconds) => orders.push(['losses', seconds]),
    onCancel: ({ batchId, shardId, attempt }) => orders.push([batchId, shardId, attempt]),
    onCancelItems: ({ shardId, items }) =>
      orders.push([shardId, ...items.map(({ first, last }) => `${first}-${last}`)]),
    onDrain: () => orders.push('drain'),
    events: events(),
  })
  try {
    for (let i = 0; i < 3; i++) expect(await once(seen, 'report')).toEqual(['w'])
    expect(orders).toEqual([['losses', 3_600], ['b', 's', 3], ['s', '2-5'], 'drain'])
    await server[Symbol.asyncDispose]()
    const again = once(seen, 'report')
    server = await serve(port, attach)
    expect(await again).toEqual(['w'])
  } finally {
    await link[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  }
})

test('reports between two heartbeats when it is told to, once each time', async () => {
  const seen = new EventEmitter()
  await using server = await serve(0, async function* (requests) {
    yield { order: { case: 'welcome', value: { heartbeatIntervalMs: 3_600_000 } } }
    for await (const { worker } of requests) seen.emit('report', worker!.id)
  })
  let id = 'idle'
  const first = once(seen, 'report')
  await using link = new CoordinatorLink({
    coordinators: [`127.0.0.1:${server.port}`],
    describe: () => create(WorkerSchema, { id }),
    previews: new PreviewOutbox(),
    onLossRate: () => {},
    onCancel: () => {},
    onCancelItems: () => {},
    onDrain: () => {},
    events: events(),
  })
  await first
  for (const now of ['has one shard', 'has two']) {
    id = now
    const next = once(seen, 'report')
    link.reportNow()
    expect(await next).toEqual([now])
  }
})

test('reports a last time when it ends', async () => {
  const seen: string[] = []
  const reported = new EventEmitter()
  const over = Promise.withResolvers<void>()
  await using server = await serve(0, async function* (requests) {
    yield { order: { case: 'welcome', value: { heartbeatIntervalMs: 3_600_000 } } }
    for await (const { worker } of requests) {
      seen.push(worker!.id)
      reported.emit('report')
    }
    over.resolve()
  })
  let id = 'holds shards'
  const first = once(reported, 'report')
  const link = new CoordinatorLink({
    coordinators: [`127.0.0.1:${server.port}`],
    describe: () => create(WorkerSchema, { id }),
    previews: new PreviewOutbox(),
    onLossRate: () => {},
    onCancel: () => {},
    onCancelItems: () => {},
    onDrain: () => {},
    events: events(),
  })
  await first
  id = 'has handed them back'
  await link[Symbol.asyncDispose]()
  await over.promise
  expect(seen.at(-1)).toBe('has handed them back')
})

test('a standby refuses and the leader is found', async () => {
  const found = Promise.withResolvers<void>()
  // oxlint-disable-next-line require-yield -- it refuses before it has anything to say
  await using standby = await serve(0, async function* () {
    throw new DarkroomError('NOT_LEADER', 'this is a standby')
  })
  await using leader = await serve(0, async function* (requests, context) {
    yield { order: { case: 'welcome', value: { heartbeatIntervalMs: 20 } } }
    let reports = 0
    for await (const { worker } of requests) {
      expect(worker?.id).toBe('w')
      if (++reports === 3) break
    }
    found.resolve()
    await untilGone(context)
  })
  await using _link = new CoordinatorLink({
    coordinators: [standby, leader].map(({ port }) => `127.0.0.1:${port}`),
    describe: () => create(WorkerSchema, { id: 'w' }),
    previews: new PreviewOutbox(),
    onLossRate: () => {},
    onCancel: () => {},
    onCancelItems: () => {},
    onDrain: () => {},
    events: events(),
  })
  await expect(found.promise).resolves.toBeUndefined()
})

test('previews go up between reports, which go on however many there are', async () => {
  const previews = new PreviewOutbox()
  const picture = { width: 1, height: 1, channels: 3, data: Uint8Array.of(1, 2, 3) } as const
  const offer = (step: number): void =>
    previews.offer({
      batchId: 'b',
      shardId: 's',
      item: 0,
      image: 0,
      preview: { step, steps: 99, picture, width: 8, height: 8 },
    })
  const enough = Promise.withResolvers<void>()
  const seen: ('report' | number)[] = []
  await using server = await serve(0, async function* (requests, context) {
    yield { order: { case: 'welcome', value: { heartbeatIntervalMs: 20 } } }
    void (async () => {
      for await (const { worker, preview } of requests) {
        seen.push(worker === undefined ? preview!.step : 'report')
        offer(seen.length)
        if (seen.filter((one) => one === 'report').length === 5) enough.resolve()
      }
    })().catch(() => {})
    await untilGone(context)
  })
  offer(1_000)
  const metrics = new Metrics()
  await using _link = new CoordinatorLink({
    coordinators: [`127.0.0.1:${server.port}`],
    describe: () => create(WorkerSchema, { id: 'w' }),
    previews,
    onLossRate: () => {},
    onCancel: () => {},
    onCancelItems: () => {},
    onDrain: () => {},
    events: createEvents(metrics, log),
  })
  await enough.promise
  const steps = seen.filter((one) => one !== 'report')
  expect(steps.length).toBeGreaterThan(0)
  // What was offered before anybody listened is not among them.
  expect(steps).not.toContain(1_000)
  expect(steps).toEqual(steps.toSorted((a, b) => a - b))
})
