import { isSchedulerName, SCHEDULERS } from '@darkroom/diffusion'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { camelKeys } from '../golden/denoise-batch.ts'
import { readJson } from '../golden/read-json.ts'
import { startTestFarm } from './farm.harness.ts'

const FAMILIES = path.resolve(import.meta.dirname, '../golden/families')

/** A picture that diffusers rendered, by its own names. */
interface Golden {
  readonly name: string
  readonly checkpoint: string
  readonly task: string
  readonly expect_nsfw?: boolean
  readonly request: Readonly<Record<string, unknown>> & { readonly scheduler: Readonly<Record<string, unknown>> }
  readonly rgb_base64: string
}

interface OutputLine {
  readonly customId: string
  readonly images: readonly { readonly name: string; readonly nsfwContentDetected?: boolean }[]
}

test(
  'every task of every family, sent to the farm, comes back as diffusers renders it',
  { timeout: 300_000 },
  async () => {
    const folders = readdirSync(FAMILIES, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    const checkpoints = folders.map(({ name }) => path.join(FAMILIES, name))
    await using farm = await startTestFarm({ workers: 2, checkpoints })
    const { cases } = readJson(path.join(FAMILIES, 'pipelines.json')) as { readonly cases: readonly Golden[] }
    const keyOf = async (file: unknown): Promise<string> => {
      const bytes = new Uint8Array(readFileSync(path.join(FAMILIES, String(file))))
      return (await farm.gateway.uploadPicture(bytes)).key
    }
    const items = await Promise.all(cases.map((golden) => itemOf(golden, keyOf)))
    const { id } = await farm.gateway.submitJson({ items })
    expect(await farm.end(id)).toMatchObject({ state: 'completed', items: { rendered: cases.length, failed: 0 } })

    const text = await (await farm.gateway.download(`/api/v1/batches/${id}/output.jsonl`)).text()
    const lines = text.trimEnd().split('\n').map((line) => JSON.parse(line) as OutputLine) // prettier-ignore
    const found = await Promise.all(
      lines.map(async ({ customId, images: [image] }) => {
        const golden = cases.find(({ name }) => name === customId)!
        const pixels = await sharp(await farm.picture(id, image!.name)).removeAlpha().raw().toBuffer() // prettier-ignore
        const level = worstLevel(pixels, Buffer.from(golden.rgb_base64, 'base64'))
        return { customId, isClose: level <= 1, nsfw: image!.nsfwContentDetected }
      }),
    )
    const wanted = cases.map(({ name, expect_nsfw: nsfw }) => ({ customId: name, isClose: true, nsfw }))
    expect(found.toSorted(byName)).toEqual(wanted.toSorted(byName))
    expect((await farm.verify(id)).violations).toEqual([])
  },
)

async function itemOf(
  { name, checkpoint, task, request }: Golden,
  keyOf: (file: unknown) => Promise<string>,
): Promise<object> {
  const { scheduler, image, mask_image: mask, negative_prompt: negativePrompt, ...fields } = { ...request }
  const { _class_name: className, ...config } = scheduler
  // diffusers counts the steps of a schedule of one's own itself.
  if ('timesteps' in fields || 'sigmas' in fields) delete fields['num_inference_steps']
  const known = isSchedulerName(String(className)) ? SCHEDULERS[className as keyof typeof SCHEDULERS].keys : {}
  return {
    customId: name,
    checkpoint,
    task,
    scheduler: className,
    schedulerConfig: Object.fromEntries(Object.entries(config).filter(([key]) => Object.hasOwn(known, key))),
    ...camelKeys(fields),
    ...(typeof negativePrompt === 'string' && { negativePrompt }),
    ...(image !== undefined && { image: await keyOf(image) }),
    ...(mask !== undefined && { maskImage: await keyOf(mask) }),
  }
}

function byName(a: { readonly customId: string }, b: { readonly customId: string }): number {
  return a.customId.localeCompare(b.customId)
}

function worstLevel(a: Buffer, b: Buffer): number {
  if (a.length !== b.length) return 255
  return a.reduce((worst, level, i) => Math.max(worst, Math.abs(level - b[i]!)), 0)
}
