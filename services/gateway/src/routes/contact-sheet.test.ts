import { imageName, keys, shardIdOf } from '@darkroom/proto'
import type { ItemResult, PlanSegment } from '@darkroom/proto'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway[Symbol.asyncDispose]())

/** A batch of so many items, of which those of the first shard were rendered, each in a colour of its own. */
async function batchOf(count: number, rendered: number): Promise<string> {
  const items = Array.from({ length: count }, (_, seed) => ({ checkpoint: 'emoji-sd', prompt: 'a fox', seed }))
  const { id } = await gateway.accept(items)
  const seeds = items.map(({ seed }) => seed)
  const shardId = shardIdOf(0, 0)
  const shard = { id: shardId, checkpoint: gateway.pins['emoji-sd'], task: 'text-to-image', width: 64, height: 64 }
  const plan: PlanSegment = {
    batchId: id,
    segment: 0,
    firstItem: 0,
    itemCount: count,
    shards: [
      { ...shard, items: seeds.slice(0, rendered) },
      { ...shard, id: shardIdOf(0, 1), items: seeds.slice(rendered) },
    ].filter((planned) => planned.items.length > 0),
  }
  await gateway.store.put(keys.planSegment(id, 0), JSON.stringify(plan))
  const names = seeds.slice(0, rendered).map((seed) => imageName(seed, 0, 'a'.repeat(64), 'png'))
  for (const [green, name] of names.entries()) {
    const background = { r: 255, g: green, b: 0 }
    const picture = sharp({ create: { width: 64, height: 64, channels: 3, background } })
    await gateway.store.put(keys.image(id, name), await picture.png().toBuffer())
  }
  const results = names.map((name, index): ItemResult => {
    const images = [{ n: 0, seed: index, name, sha256: 'a'.repeat(64), bytes: 9, width: 64, height: 64 }]
    return { index, customId: `item-${index}`, state: 'rendered', scheduler: 'PNDMScheduler', numInferenceSteps: 50, images, seconds: 1, warnings: [] } // prettier-ignore
  })
  if (rendered > 0)
    await gateway.store.put(
      keys.result(id, shardId),
      JSON.stringify({ batchId: id, shardId, attempt: 1, kind: 'rendered', committedAt: new Date(), items: results }),
    )
  return id
}

const sheetOf = (id: string): Promise<Response> => fetch(`${gateway.url}/api/v1/batches/${id}/contact-sheet`)

test('the pictures of a batch stand side by side on one', async () => {
  const response = await sheetOf(await batchOf(5, 3))
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'image/png'])
  const { data, info } = await sharp(await response.arrayBuffer())
    .raw()
    .toBuffer({ resolveWithObject: true })
  const seen = new Set<number>()
  for (let at = 0; at < data.length; at += info.channels)
    if (data[at] === 255 && data[at + 2] === 0) seen.add(data[at + 1]!)
  expect(seen).toEqual(new Set([0, 1, 2]))
})

test('a batch without a picture has no sheet, and one with too many is told what fetches them', async () => {
  expect((await sheetOf(await batchOf(3, 0))).status).toBe(404)
  const many = await sheetOf(await batchOf(401, 0))
  expect(many.status).toBe(400)
  expect(await many.json()).toMatchObject({ detail: expect.stringMatching(/401 pictures.*at most 400.*download/) })
  expect((await sheetOf('b00000000000000000000zz')).status).toBe(404)
})
