import sharp from 'sharp'
import { expect, test } from 'vitest'
import { encodePreview } from './encode-preview.ts'
import { PreviewOutbox } from './preview-outbox.ts'
import type { ImageId, OfferedPreview } from './preview-outbox.ts'

const never = new AbortController().signal
const LONG_MS = 60_000
const id = (item: number): ImageId => ({ batchId: 'b', item, image: 0 })

function previewOf(item: number, step: number): OfferedPreview {
  const picture = { width: 8, height: 8, channels: 3, data: new Uint8Array(192).fill(step) } as const
  return { ...id(item), shardId: 's', preview: { step, steps: 20, picture, width: 64, height: 64 } }
}

/** Every preview up to now, in the order in which they are sent. */
async function drain(outbox: PreviewOutbox, count: number): Promise<string[]> {
  const sent: string[] = []
  while (sent.length < count) {
    await outbox.wait(LONG_MS, never)
    for (let next = outbox.take(); next !== null; next = outbox.take()) sent.push(`${next.item}:${next.step}`)
  }
  return sent
}

test('of previews that nobody takes, the newest of each image is left, in order', async () => {
  const outbox = new PreviewOutbox()
  using _open = outbox.open()
  for (let step = 1; step <= 9; step++) for (const item of [0, 1, 2]) outbox.offer(previewOf(item, step))
  // The very first was being encoded when the others came.
  expect(await drain(outbox, 4)).toEqual(['0:1', '1:9', '2:9', '0:9'])
})

test('what is left of an image goes when the image is done', async () => {
  const outbox = new PreviewOutbox()
  using _open = outbox.open()
  outbox.offer(previewOf(0, 1))
  outbox.offer(previewOf(1, 1))
  outbox.offer(previewOf(2, 1))
  outbox.forget(id(0))
  outbox.forget(id(1))
  expect(await drain(outbox, 1)).toEqual(['2:1'])
})

test('without a coordinator nothing is kept, and what was left is not sent to the next one', async () => {
  const outbox = new PreviewOutbox()
  outbox.offer(previewOf(0, 1))
  const first = outbox.open()
  outbox.offer(previewOf(1, 1))
  await outbox.wait(LONG_MS, never)
  first[Symbol.dispose]()
  outbox.offer(previewOf(2, 1))
  using _second = outbox.open()
  expect(outbox.take()).toBeNull()
  outbox.offer(previewOf(3, 1))
  expect(await drain(outbox, 1)).toEqual(['3:1'])
})

test('who waits is let go by the signal and by the clock', async () => {
  const outbox = new PreviewOutbox()
  await outbox.wait(1, never)
  const stop = new AbortController()
  const waiting = outbox.wait(LONG_MS, stop.signal)
  stop.abort()
  await waiting
  expect(outbox.take()).toBeNull()
})

test('a sketch is enlarged to the size of its picture, and no preview is longer than 512 pixels', async () => {
  const sketch = { width: 8, height: 4, channels: 3, data: new Uint8Array(96).fill(200) } as const
  for (const [width, height, expected] of [
    [64, 32, { width: 64, height: 32 }],
    [2048, 1024, { width: 512, height: 256 }],
  ] as const) {
    const jpeg = await encodePreview({ picture: sketch, width, height })
    expect(await sharp(jpeg).metadata()).toMatchObject({ format: 'jpeg', ...expected })
  }
  const decoded = { width: 1024, height: 8, channels: 3, data: new Uint8Array(3 * 8192) } as const
  expect(await sharp(await encodePreview({ picture: decoded, width: 1024, height: 8 })).metadata()).toMatchObject({
    width: 512,
    height: 4,
  })
})
