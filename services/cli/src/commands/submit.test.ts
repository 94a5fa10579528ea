import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { commandBench } from '../command.harness.ts'
import { batchJson, sendJson } from '../gateway.harness.ts'

const bench = commandBench()

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
    bench.gateway.answer = (_, response) => sendJson(response, quote)
    expect(await bench.run('submit', '-p', 'a fox', '--quote')).toBe(0)
    await writeFile(path.join(bench.folder, 'items.jsonl'), '{"prompt":"a fox"}\n')
    expect(await bench.run('submit', path.join(bench.folder, 'items.jsonl'), '--steps', '9', '--quote')).toBe(0)
    expect(bench.gateway.requests.map(({ url }) => url)).toEqual(['/api/v1/quote', '/api/v1/quote?numInferenceSteps=9'])
    expect(bench.printed[0]!.split('\n')).toEqual([
      '2 items, 8 images: 1 min 30 s of a device',
      '  costs 1.23',
      '  takes 30 s on 3 workers alone, 1 h 0 min behind all that waits',
      '  a guess: nothing was rendered with one of its checkpoints lately',
    ])
  })

  test('lists of values make an item for each combination; a file names them itself', async () => {
    expect(await bench.run('submit', '-p', 'a fox', '--steps', '5,10', '--seed', '0-1', '-c', 'emoji-sd')).toBe(0)
    const { items, defaults } = JSON.parse(bench.gateway.requests[0]!.body) as { items: object[]; defaults: object }
    expect(items).toEqual([
      { customId: 'p0 5 0', prompt: 'a fox', numInferenceSteps: 5, seed: 0 },
      { customId: 'p0 5 1', prompt: 'a fox', numInferenceSteps: 5, seed: 1 },
      { customId: 'p0 10 0', prompt: 'a fox', numInferenceSteps: 10, seed: 0 },
      { customId: 'p0 10 1', prompt: 'a fox', numInferenceSteps: 10, seed: 1 },
    ])
    expect(defaults).toEqual({ checkpoint: 'emoji-sd' })
    expect(await bench.run('submit', 'items.jsonl', '--steps', '5,10')).toBe(2)
    expect(bench.complained.join('')).toMatch('go with --prompt')
  })

  test('a file that ends in .txt has a prompt a line', async () => {
    const file = path.join(bench.folder, 'prompts.txt')
    await writeFile(file, 'a fox\n\n"quoted", and more\n')
    expect(await bench.run('submit', file, '-c', 'emoji-sd')).toBe(0)
    expect(
      bench.gateway.requests[0]!.body.trim()
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
    expect(await bench.run('submit', '-p', 'a cat', '--prompt', 'a dog', ...options)).toBe(0)
    expect(bench.gateway.requests).toMatchObject([{ method: 'POST', url: '/api/v1/batches' }])
    expect(JSON.parse(bench.gateway.requests[0]!.body)).toEqual({
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
    expect(bench.printed.join('\n')).toContain('darkroom watch b0123456789abcdefghijkl')
  })

  test('streams a file of lines, with defaults in the query', async () => {
    const file = path.join(bench.folder, 'items.jsonl')
    await writeFile(file, '{"prompt":"a cat"}\n')
    expect(await bench.run('submit', file, '--guidance', '3.5')).toBe(0)
    expect(bench.gateway.requests).toMatchObject([
      {
        url: '/api/v1/batches?guidanceScale=3.5',
        headers: { 'content-type': 'application/x-ndjson' },
        body: '{"prompt":"a cat"}\n',
      },
    ])
  })

  test('uploads pictures first, and says what they are for', async () => {
    const [image, mask] = [path.join(bench.folder, 'cat.png'), path.join(bench.folder, 'mask.png')]
    await writeFile(image, 'a picture')
    await writeFile(mask, 'a mask')
    bench.gateway.answer = ({ url, body }, response) =>
      sendJson(response, url === '/api/v1/pictures' ? { key: `key of ${body}` } : batchJson())
    expect(await bench.run('submit', '-p', 'a panda', '--image', image, '--strength', '0.6')).toBe(0)
    expect(JSON.parse(bench.gateway.requests.at(-1)!.body)).toEqual({
      items: [{ prompt: 'a panda' }],
      defaults: { task: 'image-to-image', image: 'key of a picture', strength: 0.6 },
    })
    expect(await bench.run('submit', '-p', 'a panda', '--image', image, '--mask', mask)).toBe(0)
    expect(JSON.parse(bench.gateway.requests.at(-1)!.body)).toMatchObject({
      defaults: { task: 'inpainting', image: 'key of a picture', maskImage: 'key of a mask' },
    })
    const sent = bench.gateway.requests.length
    expect(await bench.run('submit', '-p', 'a panda', '--image', path.join(bench.folder, 'none.png'))).toBe(2)
    expect(bench.complained.at(-1)).toContain('none.png')
    expect(bench.gateway.requests).toHaveLength(sent)
    bench.gateway.answer = (_, response) => sendJson(response, { status: 415, detail: 'this is no picture' }, 415)
    expect(await bench.run('submit', '-p', 'a panda', '--image', image)).toBe(2)
    expect(bench.complained.at(-1)).toBe(`darkroom: ${image}: this is no picture`)
  })

  test('needs no prompt for unconditional images', async () => {
    expect(await bench.run('submit', '--task', 'unconditional-image-generation', '--images', '3')).toBe(0)
    expect(JSON.parse(bench.gateway.requests[0]!.body)).toEqual({
      items: [{}],
      defaults: { task: 'unconditional-image-generation', numImages: 3 },
    })
  })

  test('a prompt is sent where none is taken: the bench.gateway refuses it rather than losing it', async () => {
    expect(await bench.run('submit', '--task', 'unconditional-image-generation', '-p', 'a cat')).toBe(0)
    expect(JSON.parse(bench.gateway.requests[0]!.body)).toMatchObject({ items: [{ prompt: 'a cat' }] })
  })

  test('without a prompt, the task that needs none is named', async () => {
    expect(await bench.run('submit', '-c', 'emoji-ddpm')).toBe(2)
    expect(bench.complained.join('')).toContain('--task unconditional-image-generation')
  })

  test('uploads the files that lines name, from where the lines lie', async () => {
    bench.gateway.answer = ({ url, body }, response) =>
      sendJson(response, url === '/api/v1/pictures' ? { key: `key of ${body}` } : batchJson())
    await writeFile(path.join(bench.folder, 'cat.png'), 'a picture')
    const file = path.join(bench.folder, 'items.jsonl')
    await writeFile(file, '{"prompt":"a cat"}\n{"image":"cat.png"}')
    expect(await bench.run('submit', file)).toBe(0)
    expect(bench.gateway.requests.at(-1)!.body).toBe('{"prompt":"a cat"}\n{"image":"key of a picture"}\n')
    await writeFile(file, '{"prompt":"a cat"}\n{"image":"none.png"}')
    expect(await bench.run('submit', file)).toBe(2)
    expect(bench.complained.slice(-2)).toEqual([
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
    expect(await bench.run(...args)).toBe(2)
    expect(bench.complained.join('')).not.toBe('')
    expect(bench.gateway.requests).toEqual([])
  })

  test('a refusal says line, field and value of every problem, with exit code 2', async () => {
    const errors = [{ line: 3, field: 'numInferenceSteps', value: 0, message: 'want an integer from 1 to 1000' }]
    bench.gateway.answer = (_, response) => sendJson(response, { status: 400, detail: 'the batch is bad', errors }, 400)
    expect(await bench.run('submit', '-p', 'a cat')).toBe(2)
    expect(bench.complained).toEqual([
      'darkroom: the batch is bad',
      '  line 3, numInferenceSteps = 0: want an integer from 1 to 1000',
    ])
    expect(await bench.run('submit', '-p', 'a cat', '--json')).toBe(2)
    expect(JSON.parse(bench.complained.at(-1)!)).toMatchObject({ code: 'INVALID_REQUEST', errors })
  })
})
