import { createHash } from 'node:crypto'
import { keys } from '@darkroom/proto'
import type { CheckpointManifest } from '@darkroom/proto'
import { DarkroomError } from '../errors.ts'
import type { ObjectStore } from '../object-store.ts'
import { parsePythonJson } from './python-json.ts'

const MAX_CONFIG_BYTES = 256 * 1024

/** Whether a file says how a pipeline is built: model_index.json and every …config.json. Tokenizer tables are not configs. */
function isConfigPath(path: string): boolean {
  return path === 'model_index.json' || path.endsWith('config.json')
}

/**
 * Reads the small JSON files of a checkpoint, by path, each checked against the manifest.
 * @throws DarkroomError CHECKPOINT_MISMATCH, CHECKPOINT_INVALID
 */
export async function readCheckpointConfigs(
  store: ObjectStore,
  manifest: CheckpointManifest,
): Promise<Record<string, unknown>> {
  const files = manifest.files.filter(({ path, size }) => isConfigPath(path) && size <= MAX_CONFIG_BYTES)
  const entries = await Promise.all(
    files.map(async ({ path, sha256 }) => {
      const bytes = await store.get(keys.checkpointBlob(sha256))
      const got = bytes === null ? 'no object' : createHash('sha256').update(bytes).digest('hex')
      if (bytes === null || got !== sha256) {
        throw new DarkroomError('CHECKPOINT_MISMATCH', `${path}: expected sha256 ${sha256}, got ${got}`)
      }
      return [path, parseConfig(bytes, path)] as const
    }),
  )
  return Object.fromEntries(entries)
}

function parseConfig(bytes: Uint8Array, path: string): unknown {
  try {
    return parsePythonJson(Buffer.from(bytes).toString('utf8'))
  } catch (cause) {
    throw new DarkroomError('CHECKPOINT_INVALID', `${path} is not JSON`, { cause })
  }
}
