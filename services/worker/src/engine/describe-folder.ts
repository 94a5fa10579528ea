import { parsePythonJson } from '@darkroom/chassis'
import { describeCheckpoint } from '@darkroom/diffusion'
import type { CheckpointDescription } from '@darkroom/diffusion'
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** What a checkpoint folder can do, from the configs in it. @throws RangeError, TypeError as describeCheckpoint does */
export function describeFolder(folder: string): CheckpointDescription {
  const files = ['model_index.json', ...globSync('*/*config.json', { cwd: folder })]
  const configs = files.map((file) => [file, parsePythonJson(readFileSync(path.join(folder, file), 'utf8'))])
  return describeCheckpoint(Object.fromEntries(configs) as Record<string, unknown>)
}
