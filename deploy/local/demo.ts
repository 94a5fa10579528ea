import { downloadBatch, GatewayClient, schedulerTable, showProgress } from '@darkroom/cli'
import { createReadStream, mkdtempSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { holdFarm, keepFarm } from './hold-farm.ts'

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
  writeFileSync(sheet, await gateway.contactSheet(batch.id))
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
