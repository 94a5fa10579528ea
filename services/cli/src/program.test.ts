import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { commandBench } from './command.harness.ts'
import { batchJson, sendJson } from './gateway.harness.ts'

const bench = commandBench()

test('a picture that says nothing of its making is refused by name, with exit code 2', async () => {
  const file = path.join(bench.folder, 'cat.jpg')
  await writeFile(file, Buffer.from([0xff, 0xd8, 0xff, 0xe0]))
  expect(await bench.run('replay', file)).toBe(2)
  expect(bench.complained.at(-1)).toBe(`darkroom: ${file}: this is no PNG, JPEG or WebP, or it is broken`)
  expect(bench.gateway.requests).toEqual([])
})

test('watch keeps the newest preview of each image in a folder', async () => {
  const batch = batchJson()
  const preview = { item: 3, image: 1, step: 5, steps: 20, picture: 'data:image/jpeg;base64,eHl6' }
  bench.gateway.answer = ({ url }, response) => {
    if (!url.endsWith('/events')) return sendJson(response, batch)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(`event: preview\ndata: ${JSON.stringify(preview)}\n\n`)
    response.end(`id: 1\nevent: end\ndata: ${JSON.stringify(batch)}\n\n`)
  }
  const previews = path.join(bench.folder, 'previews')
  expect(await bench.run('watch', batch.id, '--previews', previews)).toBe(0)
  expect(await readFile(path.join(previews, '3-1.jpg'), 'utf8')).toBe('xyz')
})

describe('the exit code', () => {
  test('is 69 when no bench.gateway answers, and 69 when the coordinator is away', async () => {
    bench.gateway.answer = (_, response) => sendJson(response, { status: 503, detail: 'no coordinator' }, 503)
    expect(await bench.run('list')).toBe(69)
    expect(await bench.run('list', '--gateway', 'http://127.0.0.1:9')).toBe(69)
    expect(bench.complained.at(-1)).toContain('npm run dev')
  })

  test('is 2 for a batch that is not there', async () => {
    bench.gateway.answer = (_, response) => sendJson(response, { status: 404, detail: 'no batch b' }, 404)
    expect(await bench.run('status', 'b')).toBe(2)
  })

  test('is 78 when the bucket is needed and not configured, and every variable is named once', async () => {
    expect(await bench.run('verify', 'b')).toBe(78)
    expect(bench.complained).toEqual([
      'darkroom: the bucket is not known: export what npm run dev prints, or the DARKROOM_S3_* of your farm',
      '  DARKROOM_S3_BUCKET: is required but not set',
    ])
  })

  test('is 1 when a watched batch ends with items or images that were not rendered', async () => {
    const batch = batchJson({ items: { open: 0, rendered: 1, failed: 1, cancelled: 0 } })
    bench.gateway.answer = ({ url }, response) => {
      if (!url.endsWith('/events')) return sendJson(response, batch)
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(`id: 1\nevent: end\ndata: ${JSON.stringify(batch)}\n\n`)
    }
    expect(await bench.run('watch', batch.id)).toBe(1)
    expect(bench.printed.join('\n')).toContain(
      `1 items failed, 0 were cancelled: darkroom download ${batch.id} says why`,
    )
    Object.assign(batch, batchJson({ imagesFailed: 1 }))
    expect(await bench.run('watch', batch.id)).toBe(1)
    expect(bench.printed.at(-1)).toContain('1 images of rendered items failed')
    Object.assign(batch, batchJson({ imagesFlagged: 1, itemsWarned: 1 }))
    expect(await bench.run('watch', batch.id)).toBe(0)
    expect(bench.printed.slice(-2)).toEqual([expect.stringContaining('are black'), expect.stringContaining('cut off')])
    bench.gateway.answer = (_, response) => sendJson(response, batch)
    expect(await bench.run('status', batch.id)).toBe(0)
    expect(bench.printed.at(-1)).toContain('cut off')
  })

  test('is 0 for help, which documents all of them', async () => {
    expect(await bench.run('--help')).toBe(0)
    for (const code of ['0 ', '1 ', '2 ', '69 ', '78 ']) expect(bench.printed.join('')).toContain(code)
  })
})

describe('printing', () => {
  test('a status is a line and a table for people, JSON for programs', async () => {
    expect(await bench.run('status', batchJson().id)).toBe(0)
    expect(bench.printed).toEqual([
      [
        'b0123456789abcdefghijkl  completed  2/2 items  2.00 images/s',
        'scheduler      images  of  device s  images/s  steps/s',
        'PNDMScheduler       2   2         4       0.5       10',
      ].join('\n'),
    ])
    expect(await bench.run('--json', 'status', batchJson().id)).toBe(0)
    expect(JSON.parse(bench.printed[1]!)).toEqual(batchJson())
  })

  test('a scheduler of which nobody counted what it has to make has a question mark', async () => {
    const [pndm] = batchJson().schedulers
    bench.gateway.answer = (_, response) =>
      sendJson(response, batchJson({ schedulers: [{ ...pndm!, imageCount: null }] }))
    expect(await bench.run('status', batchJson().id)).toBe(0)
    expect(bench.printed[0]).toMatch(/^PNDMScheduler +2 +\? +4 /m)
  })

  test('a list names every batch', async () => {
    bench.gateway.answer = (_, response) =>
      sendJson(response, { batches: [batchJson(), batchJson({ state: 'running' })] })
    expect(await bench.run('list', '-n', '2')).toBe(0)
    expect(bench.gateway.requests[0]!.url).toBe('/api/v1/batches?limit=2')
    expect(bench.printed[0]!.split('\n')).toHaveLength(3)
  })

  test('pause, resume, approve and priority say how the batch stands now', async () => {
    const items = { open: 2, rendered: 0, failed: 0, cancelled: 0 }
    bench.gateway.answer = (request, response) => {
      sendJson(response, { ...batchJson({ state: 'running', items }), ...(JSON.parse(request.body) as object) })
    }
    expect(await bench.run('pause', 'b')).toBe(0)
    expect(await bench.run('resume', 'b')).toBe(0)
    expect(await bench.run('approve', 'b')).toBe(0)
    expect(await bench.run('priority', 'b', '-7')).toBe(0)
    expect(bench.gateway.requests.map(({ method, url, body }) => [method, url, JSON.parse(body) as unknown])).toEqual([
      ['PATCH', '/api/v1/batches/b', { paused: true }],
      ['PATCH', '/api/v1/batches/b', { paused: false }],
      ['PATCH', '/api/v1/batches/b', { approved: true }],
      ['PATCH', '/api/v1/batches/b', { priority: -7 }],
    ])
    const id = 'b0123456789abcdefghijkl'
    expect(bench.printed).toEqual([
      `${id}  paused, 2 items open: darkroom resume ${id}`,
      `${id}  goes on, 2 items open`,
      `${id}  goes on, 2 items open`,
      `${id}  has priority -7`,
    ])
    expect(await bench.run('priority', 'b', 'high')).toBe(2)
    expect(bench.complained.join('')).toContain('priority high is no whole number')
  })

  test('pause, resume, cancel and retry take items, and say what is paused and what to type next', async () => {
    const items = { open: 2, rendered: 0, failed: 0, cancelled: 0 }
    const answers = [
      { pausedItems: '3,5-9' },
      { pausedItems: '5-9' },
      { pausedItems: '5-9', cancelledItems: '1-2' },
      {},
    ]
    bench.gateway.answer = (_, response) =>
      sendJson(response, batchJson({ state: 'running', items, ...answers[bench.gateway.requests.length - 1] }))
    expect(await bench.run('pause', 'b', '--items', '3,5-')).toBe(0)
    expect(await bench.run('resume', 'b', '--items', '3')).toBe(0)
    expect(await bench.run('cancel', 'b', '--items', '1-2')).toBe(0)
    expect(await bench.run('retry', 'b', '--items', '1-2')).toBe(0)
    expect(bench.gateway.requests.map(({ method, url, body }) => [method, url, body])).toEqual([
      ['PATCH', '/api/v1/batches/b', '{"pauseItems":"3,5-"}'],
      ['PATCH', '/api/v1/batches/b', '{"resumeItems":"3"}'],
      ['PATCH', '/api/v1/batches/b', '{"cancelItems":"1-2"}'],
      ['POST', '/api/v1/batches/b/retry?items=1-2', ''],
    ])
    const id = 'b0123456789abcdefghijkl'
    expect(bench.printed.slice(0, 3)).toEqual([
      `${id}  items 3,5-9 paused, 2 items open: darkroom resume ${id} --items 3,5-9`,
      `${id}  goes on, 2 items open, items 5-9 still paused`,
      `${id}  goes on without items 1-2, 2 items open`,
    ])
  })

  test('deadline says when a batch is wanted, and whether it will miss that', async () => {
    const completeBy = '2026-12-01T07:00:00.000Z'
    bench.gateway.answer = (_, response) =>
      sendJson(response, batchJson({ state: 'running', completeBy, atRisk: true }))
    expect(await bench.run('deadline', 'b', '2026-12-01T08:00+01:00')).toBe(0)
    expect(bench.gateway.requests.map(({ body }) => JSON.parse(body) as unknown)).toEqual([{ completeBy }])
    expect(bench.printed[0]).toContain(`is wanted by ${completeBy}, which it will miss at its rate`)
    expect(await bench.run('deadline', 'b', 'soon')).toBe(2)
    expect(bench.complained.join('')).toContain('soon is no time')
  })

  test('retry says what is rendered again, and how to follow it', async () => {
    bench.gateway.answer = (_, response) => sendJson(response, batchJson({ state: 'queued' }), 201)
    expect(await bench.run('retry', 'b')).toBe(0)
    expect(bench.gateway.requests).toMatchObject([{ method: 'POST', url: '/api/v1/batches/b/retry' }])
    const id = 'b0123456789abcdefghijkl'
    expect(bench.printed.join('\n')).toBe(`${id}  2 items of b accepted again\nfollow it: darkroom watch ${id}`)
  })

  test('explain says why an item waits and what would get it on', async () => {
    const explanation = { reason: 'no_worker_fits', message: 'none has tag big', remedy: 'start one', shardId: null }
    bench.gateway.answer = (_, response) => sendJson(response, explanation)
    expect(await bench.run('explain', 'b', '3')).toBe(0)
    expect(bench.gateway.requests).toMatchObject([{ method: 'GET', url: '/api/v1/batches/b/items/3/explanation' }])
    expect(bench.printed.join('\n')).toBe('item 3 of b: no worker fits\n  none has tag big\n  start one')
  })

  test('simulate says how long a batch takes, what it costs, and what a loss of workers changes', async () => {
    const farm = ['--workers', '4', '--prompts', '400', '--price', '3600']
    expect(await bench.run('simulate', ...farm, '--lose', '0.5', '--lose-after', '60')).toBe(0)
    const [all, half] = bench.printed.join('\n').split('\n')
    expect(all).toMatch(
      /^400 images of 1 s on 4 workers: 2 min \d+ s, 0\.1 worker-hours, \d+\.\d % of them rendering, 4 loads of checkpoints, costs \d+\.\d\d$/,
    )
    expect(half).toMatch(/^with 50 % of them gone after 1 min 0 s: \d+ min/)
    expect(await bench.run('simulate', '--workers', '0', '--prompts', '1')).toBe(2)
    expect(bench.complained.join('')).toContain('want a whole number of at least 1')
    expect(await bench.run('simulate', '--workers', '1', '--prompts', '1', '--lose', '2')).toBe(2)
  })

  test('drain names the worker as it is', async () => {
    bench.gateway.answer = (_, response) => void response.writeHead(202).end()
    expect(await bench.run('drain', 'gpu/0')).toBe(0)
    expect(bench.gateway.requests).toMatchObject([{ method: 'POST', url: '/api/v1/workers/gpu%2F0/drain' }])
    expect(bench.printed).toEqual(['gpu/0  drains: darkroom workers shows how far it is'])
  })

  test('contact-sheet writes the picture where it is told to', async () => {
    bench.gateway.answer = (_, response) => void response.end('a picture')
    const file = path.join(bench.folder, 'sheet.png')
    expect(await bench.run('contact-sheet', 'b', '--out', file)).toBe(0)
    expect(bench.gateway.requests).toMatchObject([{ method: 'GET', url: '/api/v1/batches/b/contact-sheet' }])
    expect(await readFile(file, 'utf8')).toBe('a picture')
    expect(bench.printed).toEqual([file])
  })

  test('cancel says what stays', async () => {
    const items = { open: 0, rendered: 1, failed: 0, cancelled: 1 }
    bench.gateway.answer = (_, response) => sendJson(response, batchJson({ state: 'cancelled', items }))
    expect(await bench.run('cancel', 'b')).toBe(0)
    expect(bench.gateway.requests).toMatchObject([{ method: 'POST', url: '/api/v1/batches/b/cancel' }])
    expect(bench.printed).toEqual(['b0123456789abcdefghijkl  cancelled: 1 items rendered, 1 not'])
  })
})

test('ledger shows what was used by a name, and the whole', async () => {
  const sum = {
    deviceSeconds: 90.04,
    images: 8,
    steps: 160,
    retries: 1,
    loadSeconds: 12.34,
    failedSeconds: 2.04,
    price: 1.234,
  }
  const ledger = {
    from: '2026-11-01',
    to: '2026-11-30',
    by: 'tenant',
    lines: [{ name: 'default', ...sum }],
    total: sum,
    farm: null,
  }
  bench.gateway.answer = (_, response) => sendJson(response, ledger)
  expect(await bench.run('ledger', '--from', '2026-11-01')).toBe(0)
  expect(bench.gateway.requests.map(({ url }) => url)).toEqual(['/api/v1/ledger?by=tenant&from=2026-11-01'])
  expect(bench.printed[0]!.split('\n')).toEqual([
    '2026-11-01 to 2026-11-30',
    'tenant   device s  images  steps  retries  load s  failed s  price',
    'default        90       8    160        1    12.3         2  1.23',
    'total          90       8    160        1    12.3         2  1.23',
  ])
  expect(await bench.run('ledger', '--by', 'weather')).toBe(2)
})

test('ledger shows an admin what became of the time of all devices', async () => {
  const total = { deviceSeconds: 90, images: 8, steps: 160, retries: 1, loadSeconds: 12, failedSeconds: 0, price: null }
  const rendering = { renderSeconds: 100, billedSeconds: 90, unbilledSeconds: 10 }
  const farm = { wallSeconds: 400, ...rendering, loadSeconds: 8, idleSeconds: 292 }
  const ledger = { from: '2026-11-01', to: '2026-11-30', by: 'tenant', lines: [], total, farm }
  bench.gateway.answer = (_, response) => sendJson(response, ledger)
  expect(await bench.run('ledger')).toBe(0)
  expect(bench.printed[0]!.split('\n').slice(-7)).toEqual([
    'all devices       s     %',
    'there           400   100',
    '  rendering     100    25',
    '    billed       90  22.5',
    '    not billed   10   2.5',
    '  loading         8     2',
    '  idle          292    73',
  ])
})
