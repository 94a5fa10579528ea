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

async function* updates() {
  yield batch(0, [])
  yield batch(2, [{ scheduler: 'DDIMScheduler', images: 4, steps: 80, seconds: 2 }])
  yield batch(3, [
    { scheduler: 'DDIMScheduler', images: 4, steps: 80, seconds: 2 },
    { scheduler: 'UniPCMultistepScheduler', images: 2, steps: 20, seconds: 3 },
  ])
}

test('on a terminal a batch has a bar, and each of its schedulers too once it has images', async () => {
  const terminal = Object.assign(new PassThrough(), { isTTY: true, columns: 120, rows: 30 })
  const shown = text(terminal)
  await showProgress(updates(), terminal as unknown as NodeJS.WriteStream)
  terminal.end()
  const drawn = stripVTControlCharacters(await shown).replaceAll(/ +[█░]+ +/gu, ' | ')
  for (const line of [
    'b0123456789abcdefghijkl | 0/10 items  2.50 images/s  ETA 1 min 30 s',
    'b0123456789abcdefghijkl | 3/10 items  2.50 images/s  ETA 1 min 30 s',
    'DDIMScheduler | 4 images  0.50 s of a device each',
    'UniPCMultistepScheduler | 2 images  1.50 s of a device each',
  ])
    expect(drawn).toContain(line)
})

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
