import { downloadBatch, GatewayClient, schedulerTable, showProgress } from '@darkroom/cli'
import { createReadStream, mkdtempSync, readFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { writeContactSheet } from './contact-sheet.ts'
import type { SheetSection } from './contact-sheet.ts'
import { holdFarm, keepFarm } from './hold-farm.ts'

interface DemoItem {
  readonly customId: string
  readonly prompt?: string
  readonly scheduler: string
  readonly numInferenceSteps: number
  readonly guidanceScale?: number
  readonly seed: number
}

const ITEMS = path.join(import.meta.dirname, 'demo.jsonl')

const { values: options } = parseArgs({
  options: { out: { type: 'string', default: 'renders' }, keep: { type: 'boolean', default: false } },
})
const directory = mkdtempSync(path.join(os.tmpdir(), 'darkroom-'))
const started = performance.now()

await holdFarm({ directory, isTemporary: true, isOverAtDeath: true }, async (farm, stop) => {
  const gateway = new GatewayClient(farm.gatewayUrl)
  const accepted = await gateway.submitNdjson(createReadStream(ITEMS), {})
  console.log(`batch ${accepted.id}: ${accepted.itemCount} items, ${accepted.imageCount} images`)
  await showProgress(gateway.follow(accepted.id, stop), process.stdout)
  stop.throwIfAborted()
  const batch = await gateway.batch(accepted.id)
  const folder = path.resolve(options.out)
  const { images } = await downloadBatch(gateway, batch.id, folder)
  const sheet = path.join(folder, 'contact-sheet.png')
  await writeContactSheet(sheet, 'Darkroom: one batch, four schedulers', sections(folder))
  console.log(`\n${schedulerTable(batch)}\n`)
  console.log(`${images} pictures and output.jsonl in ${folder}`)
  console.log(`contact sheet: ${sheet}`)
  console.log(`done in ${((performance.now() - started) / 1000).toFixed(0)} s`)
  if (batch.items.rendered !== batch.itemCount) {
    console.error(`${batch.itemCount - batch.items.rendered} items were not rendered: see errors.jsonl`)
    process.exitCode = 1
  }
  if (options.keep) await keepFarm(farm, stop)
})

/** Prompts down, schedulers and settings across; the unconditional pictures below. */
function sections(folder: string): SheetSection[] {
  const items = new Map(readLines<DemoItem>(ITEMS).map((item) => [item.customId, item]))
  const output = readLines<{ customId: string; images: { name: string }[] }>(path.join(folder, 'output.jsonl'))
  const pictures = output
    .map(({ customId, images }) => ({ item: items.get(customId)!, file: path.join(folder, images[0]!.name) }))
    .toSorted((a, b) => [...items.keys()].indexOf(a.item.customId) - [...items.keys()].indexOf(b.item.customId))
  const short = (scheduler: string): string => scheduler.replace(/Scheduler$/, '').replace('Discrete', '')
  const prompted = pictures.filter(({ item }) => item.prompt !== undefined)
  const others = pictures.filter(({ item }) => item.prompt === undefined)
  return [
    {
      title: 'text-to-image, emoji-sd, 64 x 64',
      pictures: prompted.map(({ item, file }) => ({
        file,
        row: item.prompt!,
        column: [short(item.scheduler), `${item.numInferenceSteps} steps`, `guidance ${item.guidanceScale}`],
      })),
    },
    {
      title: 'unconditional-image-generation, emoji-ddpm, 32 x 32',
      pictures: others.map(({ item, file }) => ({
        file,
        row: `${short(item.scheduler)}, ${item.numInferenceSteps} steps`,
        column: [`seed ${item.seed}`],
      })),
    },
  ]
}

function readLines<T>(file: string): T[] {
  return readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T)
}
