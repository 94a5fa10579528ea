import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { worstLevel } from './pictures.ts'
import { runPipelines } from './pipelines.ts'
import type { RenderedCase } from './pipelines.ts'
import { readJson } from './read-json.ts'

interface GoldenPicture {
  readonly name: string
  readonly width: number
  readonly height: number
  readonly rgb_base64: string
  readonly expect_nsfw?: boolean
}

/**
 * Rendered by torch with another T5 than the exported one, it seems: onnxruntime's own Python gives the same bytes from these
 * graphs as we do, two levels off in a few pixels. The same family from graphs of ours is within one.
 */
const TWO_LEVELS: readonly string[] = ['sd3/txt2img/4']

describe.for(['pipelines', 'newer-families', 'families'])('pictures of %s are those of diffusers', (folder) => {
  const directory = path.join(import.meta.dirname, folder)
  const { cases } = readJson(path.join(directory, 'pipelines.json')) as { cases: GoldenPicture[] }
  let output: string
  let index: readonly RenderedCase[]

  beforeAll(async () => {
    output = mkdtempSync(path.join(os.tmpdir(), 'darkroom-golden-'))
    await runPipelines(directory, output)
    index = readJson(path.join(output, 'index.json')) as RenderedCase[]
  }, 120_000)

  afterAll(() => rmSync(output, { recursive: true, force: true }))

  test.for(cases.map((golden, i) => [golden.name, i, golden] as const))(
    '%s: to one level',
    async ([name, i, golden]) => {
      expect(index[i]).toMatchObject({ name, nsfw: golden.expect_nsfw ?? null, error: null })
      expect(await worstLevel(path.join(output, index[i]!.file!), golden)).toBeLessThanOrEqual(
        TWO_LEVELS.includes(name) ? 2 : 1,
      )
    },
  )
})
