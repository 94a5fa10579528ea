import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { batchJson, sendJson, StandInGateway } from './gateway.harness.ts'
import { runProgram } from './program.ts'

let folder: string
let gateway: StandInGateway
let printed: string[]
let complained: string[]

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'darkroom-cli-'))
  gateway = await StandInGateway.start((_, response) => sendJson(response, batchJson()))
  printed = []
  complained = []
  vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line))
  vi.spyOn(console, 'error').mockImplementation((line: string) => void complained.push(line))
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => complained.push(String(text)) > 0)
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0)
})
afterEach(async () => {
  vi.restoreAllMocks()
  process.exitCode = undefined
  await gateway[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

/** Runs a command line and returns its exit code. */
async function run(...args: string[]): Promise<number> {
  process.exitCode = undefined
  await runProgram(args, { DARKROOM_GATEWAY_URL: gateway.url, XDG_CONFIG_HOME: folder })
  return exitCode()
}

function exitCode(): number {
  return Number(process.exitCode ?? 0)
}

describe('submit', () => {
  test('--quote says what a batch would take and cost, and submits nothing', async () => {
    const quote = {
      items: 2,
      images: 8,
      deviceSeconds: 90,
      workers: 3,
      secondsAlone: 30,
      secondsBehindAll: 3_630,
      isMeasured: false,
      price: 1.234,
    }
    gateway.answer = (_, response) => sendJson(response, quote)
    expect(await run('submit', '-p', 'a fox', '--quote')).toBe(0)
    await writeFile(path.join(folder, 'items.jsonl'), '{"prompt":"a fox"}\n')
    expect(await run('submit', path.join(folder, 'items.jsonl'), '--steps', '9', '--quote')).toBe(0)
    expect(gateway.requests.map(({ url }) => url)).toEqual(['/api/v1/quote', '/api/v1/quote?numInferenceSteps=9'])
    expect(printed[0]!.split('\n')).toEqual([
      '2 items, 8 images: 1 min 30 s of a device',
      '  costs 1.23',
      '  takes 30 s on 3 workers alone, 1 h 0 min behind all that waits',
      '  a guess: nothing was rendered with one of its checkpoints lately',
    ])
  })

  test('lists of values make an item for each combination; a file names them itself', async () => {
    expect(await run('submit', '-p', 'a fox', '--steps', '5,10', '--seed', '0-1', '-c', 'emoji-sd')).toBe(0)
    const { items, defaults } = JSON.parse(gateway.requests[0]!.body) as { items: object[]; defaults: object }
    expect(items).toEqual([
      { customId: 'p0 5 0', prompt: 'a fox', numInferenceSteps: 5, seed: 0 },
      { customId: 'p0 5 1', prompt: 'a fox', numInferenceSteps: 5, seed: 1 },
      { customId: 'p0 10 0', prompt: 'a fox', numInferenceSteps: 10, seed: 0 },
      { customId: 'p0 10 1', prompt: 'a fox', numInferenceSteps: 10, seed: 1 },
    ])
    expect(defaults).toEqual({ checkpoint: 'emoji-sd' })
    expect(await run('submit', 'items.jsonl', '--steps', '5,10')).toBe(2)
    expect(complained.join('')).toMatch('go with --prompt')
  })

  test('a file that ends in .txt has a prompt a line', async () => {
    const file = path.join(folder, 'prompts.txt')
    await writeFile(file, 'a fox\n\n"quoted", and more\n')
    expect(await run('submit', file, '-c', 'emoji-sd')).toBe(0)
    expect(
      gateway.requests[0]!.body.trim()
        .split('\n')
        .map((line) => JSON.parse(line) as object),
    ).toEqual([{ prompt: 'a fox' }, { prompt: '"quoted", and more' }])
  })

  test('sends prompts as items and options as defaults, numbers as numbers', async () => {
    const options = [
      '-c',
      'emoji-sd',
      '--scheduler',
      'DDIMScheduler',
      '--steps',
      '20',
      '--negative',
      '7',
      '--seed',
      '1',
      '--output-format',
      'webp',
      '--preview-every',
      '5',
      '--preview-mode',
      'decode',
    ]
    expect(await run('submit', '-p', 'a cat', '--prompt', 'a dog', ...options)).toBe(0)
    expect(gateway.requests).toMatchObject([{ method: 'POST', url: '/api/v1/batches' }])
    expect(JSON.parse(gateway.requests[0]!.body)).toEqual({
      items: [{ prompt: 'a cat' }, { prompt: 'a dog' }],
      defaults: {
        checkpoint: 'emoji-sd',
        scheduler: 'DDIMScheduler',
        numInferenceSteps: 20,
        negativePrompt: '7',
        seed: 1,
        outputFormat: 'webp',
        previewEvery: 5,
        previewMode: 'decode',
      },
    })
    expect(printed.join('\n')).toContain('darkroom watch b0123456789abcdefghijkl')
  })

  test('streams a file of lines, with defaults in the query', async () => {
    const file = path.join(folder, 'items.jsonl')
    await writeFile(file, '{"prompt":"a cat"}\n')
    expect(await run('submit', file, '--guidance', '3.5')).toBe(0)
    expect(gateway.requests).toMatchObject([
      {
        url: '/api/v1/batches?guidanceScale=3.5',
        headers: { 'content-type': 'application/x-ndjson' },
        body: '{"prompt":"a cat"}\n',
      },
    ])
  })

  test('uploads pictures first, and says what they are for', async () => {
    const [image, mask] = [path.join(folder, 'cat.png'), path.join(folder, 'mask.png')]
    await writeFile(image, 'a picture')
    await writeFile(mask, 'a mask')
    gateway.answer = ({ url, body }, response) =>
      sendJson(response, url === '/api/v1/pictures' ? { key: `key of ${body}` } : batchJson())
    expect(await run('submit', '-p', 'a panda', '--image', image, '--strength', '0.6')).toBe(0)
    expect(JSON.parse(gateway.requests.at(-1)!.body)).toEqual({
      items: [{ prompt: 'a panda' }],
      defaults: { task: 'image-to-image', image: 'key of a picture', strength: 0.6 },
    })
    expect(await run('submit', '-p', 'a panda', '--image', image, '--mask', mask)).toBe(0)
    expect(JSON.parse(gateway.requests.at(-1)!.body)).toMatchObject({
      defaults: { task: 'inpainting', image: 'key of a picture', maskImage: 'key of a mask' },
    })
    const sent = gateway.requests.length
    expect(await run('submit', '-p', 'a panda', '--image', path.join(folder, 'none.png'))).toBe(2)
    expect(complained.at(-1)).toContain('none.png')
    expect(gateway.requests).toHaveLength(sent)
    gateway.answer = (_, response) => sendJson(response, { status: 415, detail: 'this is no picture' }, 415)
    expect(await run('submit', '-p', 'a panda', '--image', image)).toBe(2)
    expect(complained.at(-1)).toBe(`darkroom: ${image}: this is no picture`)
  })

  test('needs no prompt for unconditional images', async () => {
    expect(await run('submit', '--task', 'unconditional-image-generation', '--images', '3')).toBe(0)
    expect(JSON.parse(gateway.requests[0]!.body)).toEqual({
      items: [{}],
      defaults: { task: 'unconditional-image-generation', numImages: 3 },
    })
  })

  test('a prompt is sent where none is taken: the gateway refuses it rather than losing it', async () => {
    expect(await run('submit', '--task', 'unconditional-image-generation', '-p', 'a cat')).toBe(0)
    expect(JSON.parse(gateway.requests[0]!.body)).toMatchObject({ items: [{ prompt: 'a cat' }] })
  })

  test('without a prompt, the task that needs none is named', async () => {
    expect(await run('submit', '-c', 'emoji-ddpm')).toBe(2)
    expect(complained.join('')).toContain('--task unconditional-image-generation')
  })

  test('uploads the files that lines name, from where the lines lie', async () => {
    gateway.answer = ({ url, body }, response) =>
      sendJson(response, url === '/api/v1/pictures' ? { key: `key of ${body}` } : batchJson())
    await writeFile(path.join(folder, 'cat.png'), 'a picture')
    const file = path.join(folder, 'items.jsonl')
    await writeFile(file, '{"prompt":"a cat"}\n{"image":"cat.png"}')
    expect(await run('submit', file)).toBe(0)
    expect(gateway.requests.at(-1)!.body).toBe('{"prompt":"a cat"}\n{"image":"key of a picture"}\n')
    await writeFile(file, '{"prompt":"a cat"}\n{"image":"none.png"}')
    expect(await run('submit', file)).toBe(2)
    expect(complained.slice(-2)).toEqual([
      'darkroom: a picture of a line cannot be uploaded; nothing was submitted',
      expect.stringMatching(/^ {2}line 2, image = "none.png": cannot read .*none\.png/),
    ])
  })

  test.for([
    ['neither a file nor a prompt', ['submit']],
    ['both a file and a prompt', ['submit', 'items.jsonl', '-p', 'a cat']],
    ['a file that is not there', ['submit', 'no-such-file.jsonl']],
    ['an unknown option', ['submit', '--sedd', '3']],
    ['an unknown command', ['sbumit']],
    ['a command without its argument', ['status']],
  ] as const)('refuses %s with exit code 2 and sends nothing', async ([, args]) => {
    expect(await run(...args)).toBe(2)
    expect(complained.join('')).not.toBe('')
    expect(gateway.requests).toEqual([])
  })

  test('a refusal says line, field and value of every problem, with exit code 2', async () => {
    const errors = [{ line: 3, field: 'numInferenceSteps', value: 0, message: 'want an integer from 1 to 1000' }]
    gateway.answer = (_, response) => sendJson(response, { status: 400, detail: 'the batch is bad', errors }, 400)
    expect(await run('submit', '-p', 'a cat')).toBe(2)
    expect(complained).toEqual([
      'darkroom: the batch is bad',
      '  line 3, numInferenceSteps = 0: want an integer from 1 to 1000',
    ])
    expect(await run('submit', '-p', 'a cat', '--json')).toBe(2)
    expect(JSON.parse(complained.at(-1)!)).toMatchObject({ code: 'INVALID_REQUEST', errors })
  })
})

test('a picture that says nothing of its making is refused by name, with exit code 2', async () => {
  const file = path.join(folder, 'cat.jpg')
  await writeFile(file, Buffer.from([0xff, 0xd8, 0xff, 0xe0]))
  expect(await run('replay', file)).toBe(2)
  expect(complained.at(-1)).toBe(`darkroom: ${file}: this is no PNG, JPEG or WebP, or it is broken`)
  expect(gateway.requests).toEqual([])
})

test('watch keeps the newest preview of each image in a folder', async () => {
  const batch = batchJson()
  const preview = { item: 3, image: 1, step: 5, steps: 20, picture: 'data:image/jpeg;base64,eHl6' }
  gateway.answer = ({ url }, response) => {
    if (!url.endsWith('/events')) return sendJson(response, batch)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(`event: preview\ndata: ${JSON.stringify(preview)}\n\n`)
    response.end(`id: 1\nevent: end\ndata: ${JSON.stringify(batch)}\n\n`)
  }
  const previews = path.join(folder, 'previews')
  expect(await run('watch', batch.id, '--previews', previews)).toBe(0)
  expect(await readFile(path.join(previews, '3-1.jpg'), 'utf8')).toBe('xyz')
})

describe('the exit code', () => {
  test('is 69 when no gateway answers, and 69 when the coordinator is away', async () => {
    gateway.answer = (_, response) => sendJson(response, { status: 503, detail: 'no coordinator' }, 503)
    expect(await run('list')).toBe(69)
    expect(await run('list', '--gateway', 'http://127.0.0.1:9')).toBe(69)
    expect(complained.at(-1)).toContain('npm run dev')
  })

  test('is 2 for a batch that is not there', async () => {
    gateway.answer = (_, response) => sendJson(response, { status: 404, detail: 'no batch b' }, 404)
    expect(await run('status', 'b')).toBe(2)
  })

  test('is 78 when the bucket is needed and not configured, and every variable is named once', async () => {
    expect(await run('verify', 'b')).toBe(78)
    expect(complained).toEqual([
      'darkroom: the bucket is not known: export what npm run dev prints, or the DARKROOM_S3_* of your farm',
      '  DARKROOM_S3_BUCKET: is required but not set',
    ])
  })

  test('is 1 when a watched batch ends with items or images that were not rendered', async () => {
    const batch = batchJson({ items: { open: 0, rendered: 1, failed: 1, cancelled: 0 } })
    gateway.answer = ({ url }, response) => {
      if (!url.endsWith('/events')) return sendJson(response, batch)
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(`id: 1\nevent: end\ndata: ${JSON.stringify(batch)}\n\n`)
    }
    expect(await run('watch', batch.id)).toBe(1)
    expect(printed.join('\n')).toContain(`1 items failed, 0 were cancelled: darkroom download ${batch.id} says why`)
    Object.assign(batch, batchJson({ imagesFailed: 1 }))
    expect(await run('watch', batch.id)).toBe(1)
    expect(printed.at(-1)).toContain('1 images of rendered items failed')
    Object.assign(batch, batchJson({ imagesFlagged: 1, itemsWarned: 1 }))
    expect(await run('watch', batch.id)).toBe(0)
    expect(printed.slice(-2)).toEqual([expect.stringContaining('are black'), expect.stringContaining('cut off')])
    gateway.answer = (_, response) => sendJson(response, batch)
    expect(await run('status', batch.id)).toBe(0)
    expect(printed.at(-1)).toContain('cut off')
  })

  test('is 0 for help, which documents all of them', async () => {
    expect(await run('--help')).toBe(0)
    for (const code of ['0 ', '1 ', '2 ', '69 ', '78 ']) expect(printed.join('')).toContain(code)
  })
})

describe('printing', () => {
  test('a status is a line and a table for people, JSON for programs', async () => {
    expect(await run('status', batchJson().id)).toBe(0)
    expect(printed).toEqual([
      [
        'b0123456789abcdefghijkl  completed  2/2 items  2.00 images/s',
        'scheduler      images  device s  images/s  steps/s',
        'PNDMScheduler       2         4       0.5       10',
      ].join('\n'),
    ])
    expect(await run('--json', 'status', batchJson().id)).toBe(0)
    expect(JSON.parse(printed[1]!)).toEqual(batchJson())
  })

  test('a list names every batch', async () => {
    gateway.answer = (_, response) => sendJson(response, { batches: [batchJson(), batchJson({ state: 'running' })] })
    expect(await run('list', '-n', '2')).toBe(0)
    expect(gateway.requests[0]!.url).toBe('/api/v1/batches?limit=2')
    expect(printed[0]!.split('\n')).toHaveLength(3)
  })

  test('pause, resume and priority say how the batch stands now', async () => {
    const items = { open: 2, rendered: 0, failed: 0, cancelled: 0 }
    gateway.answer = (request, response) => {
      sendJson(response, { ...batchJson({ state: 'running', items }), ...(JSON.parse(request.body) as object) })
    }
    expect(await run('pause', 'b')).toBe(0)
    expect(await run('resume', 'b')).toBe(0)
    expect(await run('priority', 'b', '-7')).toBe(0)
    expect(gateway.requests.map(({ method, url, body }) => [method, url, JSON.parse(body) as unknown])).toEqual([
      ['PATCH', '/api/v1/batches/b', { paused: true }],
      ['PATCH', '/api/v1/batches/b', { paused: false }],
      ['PATCH', '/api/v1/batches/b', { priority: -7 }],
    ])
    const id = 'b0123456789abcdefghijkl'
    expect(printed).toEqual([
      `${id}  paused, 2 items open: darkroom resume ${id}`,
      `${id}  goes on, 2 items open`,
      `${id}  has priority -7`,
    ])
    expect(await run('priority', 'b', 'high')).toBe(2)
    expect(complained.join('')).toContain('priority high is no whole number')
  })

  test('deadline says when a batch is wanted, and whether it will miss that', async () => {
    const completeBy = '2026-12-01T07:00:00.000Z'
    gateway.answer = (_, response) => sendJson(response, batchJson({ state: 'running', completeBy, atRisk: true }))
    expect(await run('deadline', 'b', '2026-12-01T08:00+01:00')).toBe(0)
    expect(gateway.requests.map(({ body }) => JSON.parse(body) as unknown)).toEqual([{ completeBy }])
    expect(printed[0]).toContain(`is wanted by ${completeBy}, which it will miss at its rate`)
    expect(await run('deadline', 'b', 'soon')).toBe(2)
    expect(complained.join('')).toContain('soon is no time')
  })

  test('retry says what is rendered again, and how to follow it', async () => {
    gateway.answer = (_, response) => sendJson(response, batchJson({ state: 'queued' }), 201)
    expect(await run('retry', 'b')).toBe(0)
    expect(gateway.requests).toMatchObject([{ method: 'POST', url: '/api/v1/batches/b/retry' }])
    const id = 'b0123456789abcdefghijkl'
    expect(printed.join('\n')).toBe(`${id}  2 items of b accepted again\nfollow it: darkroom watch ${id}`)
  })

  test('explain says why an item waits and what would get it on', async () => {
    const explanation = { reason: 'no_worker_fits', message: 'none has tag big', remedy: 'start one', shardId: null }
    gateway.answer = (_, response) => sendJson(response, explanation)
    expect(await run('explain', 'b', '3')).toBe(0)
    expect(gateway.requests).toMatchObject([{ method: 'GET', url: '/api/v1/batches/b/items/3/explanation' }])
    expect(printed.join('\n')).toBe('item 3 of b: no worker fits\n  none has tag big\n  start one')
  })

  test('simulate says how long a batch takes, what it costs, and what a loss of workers changes', async () => {
    const farm = ['--workers', '4', '--prompts', '400', '--price', '3600']
    expect(await run('simulate', ...farm, '--lose', '0.5', '--lose-after', '60')).toBe(0)
    const [all, half] = printed.join('\n').split('\n')
    expect(all).toMatch(
      /^400 images of 1 s on 4 workers: 2 min \d+ s, 0\.1 worker-hours, \d+\.\d % of them rendering, 4 loads of checkpoints, costs \d+\.\d\d$/,
    )
    expect(half).toMatch(/^with 50 % of them gone after 1 min 0 s: \d+ min/)
    expect(await run('simulate', '--workers', '0', '--prompts', '1')).toBe(2)
    expect(complained.join('')).toContain('want a whole number of at least 1')
    expect(await run('simulate', '--workers', '1', '--prompts', '1', '--lose', '2')).toBe(2)
  })

  test('cancel says what stays', async () => {
    const items = { open: 0, rendered: 1, failed: 0, cancelled: 1 }
    gateway.answer = (_, response) => sendJson(response, batchJson({ state: 'cancelled', items }))
    expect(await run('cancel', 'b')).toBe(0)
    expect(gateway.requests).toMatchObject([{ method: 'POST', url: '/api/v1/batches/b/cancel' }])
    expect(printed).toEqual(['b0123456789abcdefghijkl  cancelled: 1 items rendered, 1 not'])
  })
})

test('ledger shows what was used by a name, and the whole', async () => {
  const sum = { deviceSeconds: 90.04, images: 8, steps: 160, retries: 1, price: 1.234 }
  const ledger = {
    from: '2026-11-01',
    to: '2026-11-30',
    by: 'tenant',
    lines: [{ name: 'default', ...sum }],
    total: sum,
  }
  gateway.answer = (_, response) => sendJson(response, ledger)
  expect(await run('ledger', '--from', '2026-11-01')).toBe(0)
  expect(gateway.requests.map(({ url }) => url)).toEqual(['/api/v1/ledger?by=tenant&from=2026-11-01'])
  expect(printed[0]!.split('\n')).toEqual([
    '2026-11-01 to 2026-11-30',
    'tenant   device s  images  steps  retries  price',
    'default        90       8    160        1  1.23',
    'total          90       8    160        1  1.23',
  ])
  expect(await run('ledger', '--by', 'weather')).toBe(2)
})
