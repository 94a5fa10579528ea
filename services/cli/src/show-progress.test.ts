import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { stripVTControlCharacters } from 'node:util'
import { expect, test, vi } from 'vitest'
import type { BatchJson } from './gateway-client.ts'
import { batchJson } from './gateway.harness.ts'
import { showProgress } from './show-progress.ts'

const batch = (rendered: number, schedulers: BatchJson['schedulers']): BatchJson =>
  batchJson({
    state: 'running',
    itemCount: 10,
    imageCount: 20,
    items: { open: 10 - rendered, rendered, failed: 0, cancelled: 0 },
    imagesPerSecond: 2.5,
    etaSeconds: 90,
    schedulers,
  })

const ddim = { scheduler: 'DDIMScheduler', images: 4, imagesPerSecond: 1.5, steps: 80, seconds: 2 }
const unipc = { scheduler: 'UniPCMultistepScheduler', images: 2, imagesPerSecond: 1, steps: 20, seconds: 3 }

async function* updates() {
  yield batch(0, [])
  yield batch(2, [ddim])
  yield batch(3, [ddim, unipc])
}

/** What is drawn on a terminal, each bar as | PERCENT |. */
async function drawn(updates: AsyncIterable<BatchJson>): Promise<string> {
  const terminal = Object.assign(new PassThrough(), { isTTY: true, columns: 120, rows: 30 })
  const shown = text(terminal)
  await showProgress(updates, terminal as unknown as NodeJS.WriteStream)
  terminal.end()
  const percent = (bar: string): string =>
    ` | ${Math.round((100 * bar.split('█').length - 100) / bar.trim().length)} | `
  return stripVTControlCharacters(await shown).replaceAll(/ +[█░]+ +/gu, percent)
}

test('on a terminal a batch has a bar, and each of its schedulers one of what it has to make', async () => {
  async function* counted() {
    const waiting = { images: 0, imageCount: 12, imagesPerSecond: 0, steps: 0, seconds: 0 }
    yield batch(0, [
      { ...unipc, ...waiting },
      { ...ddim, ...waiting, imageCount: 8 },
    ])
    yield batch(2, [
      { ...unipc, ...waiting },
      { ...ddim, imageCount: 8 },
    ])
  }
  const terminal = await drawn(counted())
  for (const line of [
    'b0123456789abcdefghijkl | 0 | 0/10 items  2.50 images/s  ETA 1 min 30 s',
    'b0123456789abcdefghijkl | 20 | 2/10 items  2.50 images/s  ETA 1 min 30 s',
    'DDIMScheduler | 0 | 0/8 images  0.00 images/s  … of a device each',
    'DDIMScheduler | 50 | 4/8 images  1.50 images/s  0.50 s of a device each',
    'UniPCMultistepScheduler | 0 | 0/12 images  0.00 images/s  … of a device each',
  ])
    expect(terminal).toContain(line)
})

test.for([{ imageCount: null }, {}])(
  'where nobody counted what a scheduler has to make, its bar is its share of the batch: %o',
  async (unknown) => {
    async function* uncounted() {
      yield batch(2, [{ ...ddim, ...unknown }])
    }
    expect(await drawn(uncounted())).toContain('DDIMScheduler | 20 | 4 images  1.50 images/s  0.50 s of a device each')
  },
)

test('elsewhere it is a line now and then, and the last', async () => {
  const lines: string[] = []
  const print = vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line))
  async function* toTheEnd() {
    yield* updates()
    yield batch(10, [])
  }
  try {
    await showProgress(toTheEnd(), Object.assign(new PassThrough(), { isTTY: false }) as unknown as NodeJS.WriteStream)
  } finally {
    print.mockRestore()
  }
  expect(lines.map((line) => /\d+\/10 items/.exec(line)?.[0])).toEqual(['0/10 items', '10/10 items'])
})
