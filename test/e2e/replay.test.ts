import { readPictureTexts, withPngText } from '@darkroom/chassis'
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { startTestFarm } from './farm.harness.ts'

const DARKROOM = path.resolve(import.meta.dirname, '../../services/cli/src/main.ts')
const INIT = path.resolve(import.meta.dirname, '../golden/families/wide.png')

interface OutputLine {
  readonly customId: string
  readonly images: readonly { readonly name: string }[]
}

interface Failed {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

test(
  'a picture says how it was rendered, and comes out the same when it is replayed',
  { timeout: 120_000 },
  async () => {
    await using farm = await startTestFarm({ workers: 1 })
    const { key: image } = await farm.gateway.uploadPicture(new Uint8Array(readFileSync(INIT)))
    const apple = { checkpoint: 'emoji-sd', prompt: 'ein Äpfelchen 🍎', guidanceScale: 4 }
    const { id } = await farm.gateway.submitJson({
    items: [
      { ...apple, customId: 'third of an item', outputFormat: 'jpeg', numImages: 3, scheduler: 'Euler a', numInferenceSteps: 6 },
      { ...apple, customId: 'from a picture', outputFormat: 'webp', task: 'image-to-image', image, strength: 0.5, timesteps: [900, 600, 300, 1], scheduler: 'DPM++ 2M' },
      { customId: 'unconditional', checkpoint: 'emoji-ddpm', scheduler: 'DDPMScheduler', numInferenceSteps: 5 },
    ],
  }) // prettier-ignore
    await farm.end(id)
    const text = await (await farm.gateway.download(`/api/v1/batches/${id}/output.jsonl`)).text()
    const lines = text.trimEnd().split('\n').map((line) => JSON.parse(line) as OutputLine) // prettier-ignore
    expect(lines).toHaveLength(3)
    const file = path.join(farm.farm.directory, 'picture.png')
    const replay = (...options: string[]): Promise<{ stdout: string }> =>
      promisify(execFile)(process.execPath, [DARKROOM, '--gateway', farm.gateway.url, ...options, 'replay', file])
    for (const { images } of lines) {
      writeFileSync(file, await farm.picture(id, images.at(-1)!.name))
      expect(JSON.parse((await replay('--json')).stdout)).toMatchObject({ verdict: 'identical', worstLevel: 0 })
    }

    const told = readFileSync(file)
    const inverted = await sharp(told).negate().png().toBuffer() // prettier-ignore
    writeFileSync(file, withPngText(inverted, { ...(await readPictureTexts(told)) }))
    const different = await replay().then(() => null, (reason: Failed) => reason) // prettier-ignore
    expect([different?.code, different?.stdout]).toEqual([
      1,
      expect.stringMatching(/came out different, by up to \d+ levels/),
    ])

    writeFileSync(file, inverted)
    const silent = await replay().then(() => null, (reason: Failed) => reason) // prettier-ignore
    expect([silent?.code, silent?.stderr]).toEqual([2, expect.stringMatching('does not say how it was rendered')])
  },
)
