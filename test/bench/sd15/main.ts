import path from 'node:path'
import { buildSd15 } from './build-sd15.ts'

/** `node test/bench/sd15/main.ts FOLDER`: writes the checkpoint there. */
const [folder] = process.argv.slice(2)
if (folder === undefined) {
  console.error('usage: node test/bench/sd15/main.ts FOLDER')
  process.exitCode = 2
} else {
  const start = performance.now()
  await buildSd15(path.resolve(folder))
  console.log(JSON.stringify({ folder, seconds: (performance.now() - start) / 1000 }))
}
