import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { GatewayClient } from '@darkroom/cli'
import { Farm } from '@darkroom/local'
import sharp from 'sharp'
import { readJson } from '../golden/read-json.ts'

/**
 * A checkpoint with more than 2 GiB of external data, pushed, fetched by a worker, verified and rendered: the picture must be
 * that of diffusers, whose weights lie behind the first 2 GiB. `test/golden/recipe/make_large.py` made the graph.
 */

const FAMILIES = path.resolve(import.meta.dirname, '../golden/families')
const ZEROS_BYTES = 550_000 * 1000 * 4

interface Golden {
  readonly name: string
  readonly request: {
    readonly num_inference_steps: number
    readonly seed: number
    readonly scheduler: { readonly _class_name: string }
  }
  readonly rgb_base64: string
}

interface OutputLine {
  readonly images: readonly { readonly name: string }[]
}

const { values } = parseArgs({ options: { directory: { type: 'string', default: os.tmpdir() } } })
const directory = mkdtempSync(path.join(values.directory, 'darkroom-large-'))
try {
  const folder = path.join(directory, 'large-ddpm')
  cpSync(path.join(FAMILIES, 'tiny-ddpm'), folder, { recursive: true })
  copyFileSync(path.join(import.meta.dirname, 'model.onnx'), path.join(folder, 'unet/model.onnx'))
  const data = path.join(folder, 'unet/model.onnx_data')
  writeFileSync(data, '')
  truncateSync(data, ZEROS_BYTES)
  writeFileSync(data, readFileSync(path.join(import.meta.dirname, 'weights.bin')), { flag: 'a' })

  const start = performance.now()
  await using farm = await Farm.start({ directory: path.join(directory, 'farm'), workers: 1, checkpoints: [folder] })
  const pushed = performance.now()
  const { cases } = readJson(path.join(FAMILIES, 'pipelines.json')) as { readonly cases: readonly Golden[] }
  const golden = cases.find(({ name }) => name === 'ddpm')!
  const gateway = new GatewayClient(farm.gatewayUrl)
  const { scheduler, num_inference_steps: numInferenceSteps, seed } = golden.request
  const item = { checkpoint: 'large-ddpm', scheduler: scheduler._class_name, numInferenceSteps, seed }
  const { id } = await gateway.submitJson({ items: [item] })
  let state = ''
  for await (const batch of gateway.follow(id, new AbortController().signal)) state = batch.state
  const rendered = performance.now()

  const line = JSON.parse(await (await gateway.download(`/api/v1/batches/${id}/output.jsonl`)).text()) as OutputLine
  const picture = await gateway.download(`/api/v1/batches/${id}/images/${line.images[0]!.name}`)
  const pixels = await sharp(await picture.arrayBuffer()).removeAlpha().raw().toBuffer() // prettier-ignore
  const wanted = Buffer.from(golden.rgb_base64, 'base64')
  const worstLevel = pixels.reduce((worst, level, i) => Math.max(worst, Math.abs(level - wanted[i]!)), 0)
  const result = {
    bytes: statSync(data).size,
    pushSeconds: (pushed - start) / 1000,
    fetchAndRenderSeconds: (rendered - pushed) / 1000,
    worstLevel,
  }
  console.log(JSON.stringify(result))
  if (state !== 'completed' || pixels.length !== wanted.length || worstLevel > 1) process.exitCode = 1
} finally {
  rmSync(directory, { recursive: true, force: true })
}
