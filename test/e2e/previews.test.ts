import sharp from 'sharp'
import { expect, test } from 'vitest'
import { startTestFarm } from './farm.harness.ts'

interface PreviewJson {
  readonly item: number
  readonly image: number
  readonly step: number
  readonly steps: number
  readonly picture: string
}

interface Event {
  readonly name: string
  readonly id: string | undefined
  readonly data: unknown
}

const STEPS = 100
const JPEG = 'data:image/jpeg;base64,'

test('who follows a batch sees its pictures come into being', { timeout: 120_000 }, async () => {
  await using farm = await startTestFarm({ workers: 1 })
  const shared = { checkpoint: 'emoji-sd', prompt: 'a red apple', numInferenceSteps: STEPS, guidanceScale: 4 }
  const { id } = await farm.gateway.submitJson({
    items: [
      { ...shared, customId: 'shown', scheduler: 'EulerDiscreteScheduler', seed: 1, previewEvery: 2 },
      { ...shared, customId: 'not shown', scheduler: 'DDIMScheduler', seed: 2 },
    ],
  })
  const response = await farm.gateway.download(`/api/v1/batches/${id}/events`)
  const events = parseEvents(await response.text())
  expect(events.at(-1)).toMatchObject({ name: 'end', data: { state: 'completed', imagesRendered: 2 } })

  const shown = events.filter(({ name }) => name === 'preview')
  expect(shown.every((event) => event.id === undefined)).toBe(true)
  const previews = shown.map(({ data }) => data as PreviewJson)
  expect(previews.length).toBeGreaterThan(1)
  expect(previews.every(({ item, image, steps }) => item === 0 && image === 0 && steps === STEPS)).toBe(true)
  const steps = previews.map(({ step }) => step)
  expect(steps).toEqual(steps.toSorted((a, b) => a - b))
  expect(steps.every((step) => step % 2 === 0 && step < STEPS)).toBe(true)

  const output = await (await farm.gateway.download(`/api/v1/batches/${id}/output.jsonl`)).text()
  const lines = output
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { customId: string; images: { name: string }[] })
  const finished = lines.find(({ customId }) => customId === 'shown')!.images[0]!.name
  const final = await pixelsOf(await farm.picture(id, finished))
  const distances = await Promise.all(
    [previews[0]!, previews.at(-1)!].map(async ({ picture }) => {
      expect(picture.startsWith(JPEG)).toBe(true)
      return meanDifference(await pixelsOf(Buffer.from(picture.slice(JPEG.length), 'base64')), final)
    }),
  )
  expect(distances[1]).toBeLessThan(distances[0]!)
  expect((await farm.verify(id)).violations).toEqual([])
})

function parseEvents(text: string): Event[] {
  const blocks = text.split('\n\n').filter((block) => block !== '' && !block.startsWith(':'))
  return blocks.map((block) => {
    const fields = new Map(block.split('\n').map((line) => line.split(/: (.*)/s) as [string, string]))
    return { name: fields.get('event')!, id: fields.get('id'), data: JSON.parse(fields.get('data')!) as unknown }
  })
}

async function pixelsOf(bytes: Buffer): Promise<Buffer> {
  return sharp(bytes).removeAlpha().raw().toBuffer()
}

function meanDifference(a: Buffer, b: Buffer): number {
  expect(a).toHaveLength(b.length)
  return a.reduce((sum, level, i) => sum + Math.abs(level - b[i]!), 0) / a.length
}
