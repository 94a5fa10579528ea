import { readdirSync, readFileSync } from 'node:fs'
import os from 'node:os'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestFarm } from './farm.harness.ts'
import type { TestFarm } from './farm.harness.ts'

const FORMATS = ['png', 'jpeg', 'webp']

let farm: TestFarm
beforeAll(async () => {
  farm = await startTestFarm({ workers: 1 })
}, 60_000)
afterAll(() => farm[Symbol.asyncDispose]())

test('each picture comes as its item asks, the same one in every format', { timeout: 60_000 }, async () => {
  const apple = { checkpoint: 'emoji-sd', prompt: 'a red apple', guidanceScale: 4, numInferenceSteps: 6, seed: 3 }
  const { id } = await farm.gateway.submitJson({
    items: FORMATS.map((outputFormat) => ({ ...apple, outputFormat, customId: outputFormat })),
  })
  await farm.end(id)
  expect((await farm.verify(id)).violations).toEqual([])
  const text = await (await farm.gateway.download(`/api/v1/batches/${id}/output.jsonl`)).text()
  const names = new Map(
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { customId: string; images: { name: string }[] })
      .map(({ customId, images }) => [customId, images[0]!.name]),
  )
  const pixels = await Promise.all(
    FORMATS.map(async (format) => {
      const response = await farm.gateway.download(`/api/v1/batches/${id}/images/${names.get(format)}`)
      expect(response.headers.get('content-type')).toBe(`image/${format}`)
      const file = Buffer.from(await response.arrayBuffer())
      expect((await sharp(file).metadata()).format).toBe(format)
      return sharp(file).raw().toBuffer()
    }),
  )
  for (const lossy of pixels.slice(1)) {
    const differences = pixels[0]!.map((level, j) => Math.abs(level - lossy[j]!))
    expect(lossy).toHaveLength(pixels[0]!.length)
    expect(differences.reduce((a, b) => a + b, 0) / differences.length).toBeLessThan(6)
  }
})

test('a worker has threads for pictures beside those for files and names', () => {
  const { pid } = farm.farm.programs.find(({ name }) => name.startsWith('worker'))!
  const threads = readdirSync(`/proc/${pid}/task`).map((id) => readFileSync(`/proc/${pid}/task/${id}/comm`, 'utf8'))
  expect(threads.filter((name) => name.startsWith('libuv-worker'))).toHaveLength(4 + os.availableParallelism())
})
