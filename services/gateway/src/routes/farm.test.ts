import { create } from '@bufbuild/protobuf'
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { BatchState, LedgerGrouping, SchedulerThroughputSchema, WorkerSchema, WorkerState } from '@darkroom/proto'
import { FARM_TIME, startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway[Symbol.asyncDispose]())

async function get<T>(path: string): Promise<T> {
  const response = await fetch(gateway.url + path)
  expect(response.status).toBe(200)
  return (await response.json()) as T
}

test('a batch is shown with what the coordinator knows and what was said at its acceptance', async () => {
  const response = await gateway.post(
    JSON.stringify({ items: [{ checkpoint: 'emoji-sd', prompt: 'a fox', numImages: 4 }], metadata: { a: 'b' } }),
  )
  const { id } = (await response.json()) as { id: string }
  const done = { scheduler: 'PNDMScheduler', images: 3n, steps: 150n, seconds: 2.5, imagesPerSecond: 1.5 }
  const schedulers = [
    { ...done, imageCount: 4 },
    // Of a batch that was accepted before they were counted.
    { ...done, scheduler: 'DDIMScheduler' },
  ].map((one) => create(SchedulerThroughputSchema, one))
  gateway.coordinator.put(id, {
    state: BatchState.RUNNING,
    itemCount: 1,
    imageCount: 4,
    imagesRendered: 3,
    imagesFailed: 1,
    imagesFlagged: 2,
    itemsWarned: 3,
    imagesPerSecond: 1.5,
    etaSeconds: 0.5,
    startedAt: timestampFromDate(new Date('2026-01-02T03:04:05Z')),
    schedulers,
  })
  expect(await get(`/api/v1/batches/${id}`)).toMatchObject({
    id,
    state: 'running',
    startedAt: '2026-01-02T03:04:05.000Z',
    endedAt: null,
    imageCount: 4,
    imagesRendered: 3,
    imagesFailed: 1,
    imagesFlagged: 2,
    itemsWarned: 3,
    imagesPerSecond: 1.5,
    etaSeconds: 0.5,
    schedulers: [
      { scheduler: 'PNDMScheduler', images: 3, imageCount: 4, imagesPerSecond: 1.5, steps: 150, seconds: 2.5 },
      { scheduler: 'DDIMScheduler', images: 3, imageCount: null, imagesPerSecond: 1.5, steps: 150, seconds: 2.5 },
    ],
    checkpoints: [gateway.pins['emoji-sd']],
    metadata: { a: 'b' },
  })
})

test('a batch is paused, resumed and given another priority, and what is left out stays', async () => {
  const { id } = await gateway.accept([{ checkpoint: 'emoji-sd', prompt: 'a fox' }])
  const patch = async (body: object): Promise<{ status: number; json: unknown }> => {
    const headers = { 'content-type': 'application/json' }
    const url = `${gateway.url}/api/v1/batches/${id}`
    const response = await fetch(url, { method: 'PATCH', headers, body: JSON.stringify(body) })
    return { status: response.status, json: await response.json() }
  }
  expect(await patch({ paused: true })).toMatchObject({ status: 200, json: { id, paused: true, priority: 0 } })
  expect(await patch({ priority: -3 })).toMatchObject({ status: 200, json: { paused: true, priority: -3 } })
  expect(await patch({ paused: false })).toMatchObject({ status: 200, json: { paused: false, priority: -3 } })
  expect(await patch({ completeBy: '2026-12-01T08:00:00+01:00' })).toMatchObject({
    status: 200,
    json: { completeBy: '2026-12-01T07:00:00.000Z', atRisk: false },
  })
  expect(await patch({ completeBy: 'tomorrow' })).toMatchObject({
    status: 400,
    json: { errors: [{ field: 'completeBy' }] },
  })
  expect(await patch({ priority: 1.5 })).toMatchObject({ status: 400, json: { errors: [{ field: 'priority' }] } })
  expect(await patch({ state: 'done' })).toMatchObject({ status: 400 })
  expect(await patch({})).toMatchObject({ status: 400 })
})

test('items of a batch are paused, resumed and cancelled by their indices, and what names none is refused', async () => {
  const { id } = await gateway.accept(Array.from({ length: 12 }, () => ({ checkpoint: 'emoji-sd', prompt: 'a fox' })))
  const patch = async (body: object): Promise<{ status: number; json: unknown }> => {
    const headers = { 'content-type': 'application/json' }
    const url = `${gateway.url}/api/v1/batches/${id}`
    const response = await fetch(url, { method: 'PATCH', headers, body: JSON.stringify(body) })
    return { status: response.status, json: await response.json() }
  }
  expect(await get(`/api/v1/batches/${id}`)).toMatchObject({ pausedItems: null, cancelledItems: null })
  expect(await patch({ pauseItems: '8-, 3', cancelItems: '5' })).toMatchObject({
    status: 200,
    json: { pausedItems: '3,8-11', cancelledItems: '5' },
  })
  for (const [body, field, message] of [
    [{ cancelItems: '12' }, 'cancelItems', `'12' is beyond the batch's last item, 11`],
    [{ pauseItems: '3,x' }, 'pauseItems', `'x' is neither an index nor a run of them: write such as 3,5-10,40-`],
    [{ resumeItems: '5-3' }, 'resumeItems', `'5-3' ends before it begins`],
    [{ pauseItems: '1-6', resumeItems: '4-9' }, 'resumeItems', 'items 4-6 are to be paused too'],
  ] as const)
    expect(await patch(body)).toMatchObject({
      status: 400,
      json: { errors: [{ field, message: expect.stringContaining(message) }] },
    })
  expect(await patch({ cancelItems: '' })).toMatchObject({ status: 400, json: { errors: [{ field: 'cancelItems' }] } })
})

test('a batch is changed only as it was read, where the change says so with If-Match', async () => {
  const { id } = await gateway.accept([{ checkpoint: 'emoji-sd', prompt: 'a fox' }])
  const url = `${gateway.url}/api/v1/batches/${id}`
  const patch = (ifMatch: string): Promise<Response> =>
    fetch(url, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json', 'if-match': ifMatch },
      body: JSON.stringify({ priority: 3 }),
    })
  const read = (await fetch(url)).headers.get('etag')!
  gateway.coordinator.put(id, { state: BatchState.RUNNING, imagesRendered: 1 })
  expect((await fetch(url)).headers.get('etag')).toBe(read)
  const changed = await patch(read)
  expect(changed.status).toBe(200)
  const refused = await patch(read)
  expect([refused.status, await refused.json()]).toEqual([
    412,
    expect.objectContaining({ code: 'PRECONDITION_FAILED' }),
  ])
  for (const garbage of ['', 'W/"x"', '"a", "b"', '"not-a-version"']) expect((await patch(garbage)).status).toBe(412)
  expect((await patch('*')).status).toBe(200)
  const cancel = (ifMatch: string): Promise<Response> =>
    fetch(`${url}/cancel`, { method: 'POST', headers: { 'if-match': ifMatch } })
  expect((await cancel(read)).status).toBe(412)
  expect((await cancel(changed.headers.get('etag')!)).status).toBe(200)
})

test('an item is explained by the coordinator', async () => {
  const { id } = await gateway.accept([{ checkpoint: 'emoji-sd', prompt: 'a fox' }])
  const path = `/api/v1/batches/${id}/items/0/explanation`
  expect(await get(path)).toEqual({ reason: 'running', message: 'item 0 runs', remedy: null, shardId: '00000-00000' })
  gateway.coordinator.put(id, { paused: true })
  expect(await get(path)).toMatchObject({ reason: 'paused', remedy: 'resume it', shardId: null })
  const response = await fetch(`${gateway.url}/api/v1/batches/${id}/items/x/explanation`)
  expect(response.status).toBe(400)
})

test('a batch is cancelled by the coordinator', async () => {
  const { id } = await gateway.accept([{ checkpoint: 'emoji-sd', prompt: 'a fox' }])
  const response = await fetch(`${gateway.url}/api/v1/batches/${id}/cancel`, { method: 'POST' })
  expect(response.status).toBe(200)
  expect(await response.json()).toMatchObject({ id, state: 'cancelling' })
  const unknown = await fetch(`${gateway.url}/api/v1/batches/b00000000000000000000zz/cancel`, { method: 'POST' })
  expect(unknown.status).toBe(404)
})

test('batches are listed newest first, page by page', async () => {
  await using other = await startTestGateway()
  const ids: string[] = []
  for (let i = 0; i < 5; i++) ids.push((await other.accept([{ checkpoint: 'emoji-sd', prompt: 'a fox' }])).id)
  const listed: string[] = []
  let next: string | null = '/api/v1/batches?limit=2'
  while (next !== null) {
    const response: Response = await fetch(other.url + next)
    const page = (await response.json()) as { batches: { id: string }[]; nextCursor: string | null }
    listed.push(...page.batches.map(({ id }) => id))
    next = /^<(.*)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1] ?? null
    expect(page.nextCursor === null).toBe(next === null)
  }
  expect(listed).toEqual(ids.toSorted().toReversed())
})

test('workers are listed with their device and what they render', async () => {
  gateway.coordinator.workers = [
    create(WorkerSchema, {
      id: 'w1',
      state: WorkerState.RENDERING,
      pool: 'default',
      device: { kind: 'cpu', name: 'a CPU', memoryBytes: 8n, reason: 'no GPU' },
      running: [{ batchId: 'b', shardId: 's', attempt: 2, stepsDone: 3, stepsTotal: 9, stepsResumed: 1 }],
      imagesRendered: 12n,
    }),
  ]
  expect(await get('/api/v1/workers')).toMatchObject({
    workers: [
      {
        id: 'w1',
        state: 'rendering',
        device: { kind: 'cpu', name: 'a CPU', memoryBytes: 8, reason: 'no GPU' },
        gpu: null,
        running: [{ batchId: 'b', shardId: 's', attempt: 2, stepsDone: 3, stepsTotal: 9, stepsResumed: 1 }],
        imagesRendered: 12,
        seenAt: null,
      },
    ],
  })
})

test('a worker is drained, which the audit log tells, and one that is not there is not found', async () => {
  gateway.coordinator.workers = [create(WorkerSchema, { id: 'gpu/0' })]
  const drain = (worker: string): Promise<Response> =>
    fetch(`${gateway.url}/api/v1/workers/${encodeURIComponent(worker)}/drain`, { method: 'POST' })
  expect((await drain('gpu/0')).status).toBe(202)
  expect((await drain('gpu/1')).status).toBe(404)
  expect(gateway.coordinator.drained).toEqual(['gpu/0'])
  const { entries } = await get<{ entries: { action: string; target: string }[] }>('/api/v1/audit')
  const drains = entries.filter(({ action }) => action === 'worker.drain')
  expect(drains.map(({ target }) => target)).toEqual(['gpu/0'])
})

test('checkpoints are listed with what they can do', async () => {
  const { checkpoints } = await get<{ checkpoints: object[] }>('/api/v1/checkpoints')
  expect(checkpoints).toMatchObject([
    { name: 'emoji-ddpm', pin: gateway.pins['emoji-ddpm'], tags: ['latest'], description: { tasks: ['unconditional-image-generation'], defaultWidth: 32 } },
    { name: 'emoji-sd', pin: gateway.pins['emoji-sd'], description: { sizeMultiple: 16, scheduler: 'PNDMScheduler' }, problem: null },
  ]) // prettier-ignore
})

test('schedulers are listed with the keys of their configs and what others call them', async () => {
  const { schedulers } = await get<{ schedulers: { name: string; samplers: string[]; config: object }[] }>(
    '/api/v1/schedulers',
  )
  const pndm = schedulers.find(({ name }) => name === 'PNDMScheduler')
  expect(pndm?.config).toMatchObject({
    skip_prk_steps: { default: false },
    timestep_spacing: { values: expect.any(Array) },
  })
  expect(pndm?.samplers).toEqual(['PLMS'])
})

test('without a coordinator, what needs one is 503 and says when to come back', async () => {
  await using alone = await startTestGateway()
  await alone.coordinator.stop()
  for (const path of ['/api/v1/batches', '/api/v1/workers']) {
    const response = await fetch(alone.url + path)
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '2'])
    expect(await response.json()).toMatchObject({ code: 'COORDINATOR_UNAVAILABLE' })
  }
})

test('the ledger is asked for by days and a name to sum by, and says null where there is no price', async () => {
  expect(await get('/api/v1/ledger?from=2026-01-02&to=2026-01-31&by=batch')).toEqual({
    from: '2026-01-02',
    to: '2026-01-31',
    by: 'batch',
    lines: [
      {
        name: 'default',
        deviceSeconds: 12.5,
        images: 4,
        steps: 80,
        retries: 1,
        loadSeconds: 3.5,
        failedSeconds: 0.5,
        price: 0.25,
      },
    ],
    total: { deviceSeconds: 12.5, images: 4, steps: 80, retries: 1, loadSeconds: 3.5, failedSeconds: 0.5, price: null },
    farm: FARM_TIME,
  })
  expect(gateway.coordinator.ledgerAsked).toMatchObject({ by: LedgerGrouping.BATCH })
  expect(await get('/api/v1/ledger?to=2026-01-31')).toMatchObject({ from: '2026-01-02', by: 'tenant' })
  for (const query of ['by=nobody', 'from=yesterday']) {
    expect((await fetch(`${gateway.url}/api/v1/ledger?${query}`)).status).toBe(400)
  }
})
