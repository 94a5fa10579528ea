import { SCHEDULERS } from '@darkroom/diffusion'
import type { SchedulerName } from '@darkroom/diffusion'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { readJson } from '../golden/read-json.ts'
import { startTestFarm } from './farm.harness.ts'

interface ReferenceCase {
  readonly file: string
  readonly checkpoint: string
  readonly task: string
  readonly prompt?: string
  readonly negative_prompt?: string | null
  readonly scheduler: { readonly _class_name: SchedulerName } & Readonly<Record<string, unknown>>
  readonly num_inference_steps: number
  readonly guidance_scale?: number
  readonly eta?: number
  readonly seed: number
  readonly width: number
  readonly height: number
}

const REFERENCE = path.join(import.meta.dirname, '..', 'golden', 'reference')

test('pictures from the farm are those that diffusers renders, within two levels', { timeout: 180_000 }, async () => {
  const { cases } = readJson(path.join(REFERENCE, 'reference.json')) as { cases: ReferenceCase[] }
  await using farm = await startTestFarm()
  const batch = await farm.gateway.submitJson({ items: cases.map(itemOf) })
  const ended = await farm.end(batch.id)
  expect(ended.items).toEqual({ open: 0, rendered: cases.length, failed: 0, cancelled: 0 })
  const lines = (await (await farm.gateway.download(`/api/v1/batches/${batch.id}/output.jsonl`)).text())
    .trimEnd()
    .split('\n')
  const output = new Map(
    lines
      .map((line) => JSON.parse(line) as { customId: string; images: { name: string }[] })
      .map((line) => [line.customId, line]),
  )
  expect(output.size).toBe(cases.length)
  for (const { file } of cases) {
    const got = await pixels(await farm.picture(batch.id, output.get(file)!.images[0]!.name))
    const want = await pixels(readFileSync(path.join(REFERENCE, file)))
    const differences = want.map((value, i) => Math.abs(value - got[i]!))
    expect(got, file).toHaveLength(want.length)
    expect(Math.max(...differences), file).toBeLessThanOrEqual(2)
    expect(differences.reduce((a, b) => a + b, 0) / differences.length, file).toBeLessThan(0.1)
  }
  expect((await farm.verify(batch.id)).violations).toEqual([])
})

function itemOf(reference: ReferenceCase): object {
  const { _class_name, ...config } = reference.scheduler
  return {
    customId: reference.file,
    checkpoint: reference.checkpoint,
    task: reference.task,
    scheduler: _class_name,
    // diffusers saves keys of other classes along; only the class's own change the picture.
    schedulerConfig: Object.fromEntries(Object.entries(config).filter(([key]) => key in SCHEDULERS[_class_name].keys)),
    numInferenceSteps: reference.num_inference_steps,
    seed: reference.seed,
    width: reference.width,
    height: reference.height,
    ...(reference.prompt !== undefined && { prompt: reference.prompt, guidanceScale: reference.guidance_scale }),
    ...(reference.negative_prompt != null && { negativePrompt: reference.negative_prompt }),
    ...(reference.eta !== undefined && { eta: reference.eta }),
  }
}

async function pixels(png: Buffer): Promise<number[]> {
  return [...(await sharp(png).removeAlpha().raw().toBuffer())]
}
