import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { Farm } from './farm.ts'
import { holdFarm, printUrls } from './hold-farm.ts'

/** The farm of the demo, kept until Ctrl-C, its data in .cache/dev. */
const directory = path.resolve(import.meta.dirname, '..', '..', '.cache', 'dev')
mkdirSync(directory, { recursive: true })
await holdFarm(async (stop) => {
  console.log('starting a farm: nats-server, S3, coordinator, gateway, 2 workers …')
  await using farm = await Farm.start({ directory, onDeath: console.error })
  printUrls(farm)
  if (!stop.aborted)
    await new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve(), { once: true }))
  console.log('\nstopping …')
})
