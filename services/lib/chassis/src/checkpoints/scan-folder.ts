import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DarkroomError } from '../errors.ts'
import { assertCheckpointPath } from './checkpoint-path.ts'

/**
 * Lists the files of a checkpoint folder, '/'-separated and sorted; hidden files are left out.
 * @throws DarkroomError CHECKPOINT_INVALID for symlinks, sockets and the like, pickles, and a folder that is no pipeline
 */
export async function scanFolder(directory: string): Promise<string[]> {
  const files: string[] = []
  const walk = async (folder: string): Promise<void> => {
    const entries = await readdir(join(directory, folder), { withFileTypes: true })
    for (const entry of entries) {
      if (entry.name.startsWith('.')) continue
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) await walk(path)
      else if (entry.isFile()) {
        assertCheckpointPath(path)
        files.push(path)
      } else {
        const kind = entry.isSymbolicLink() ? 'a symbolic link' : 'not a plain file'
        throw new DarkroomError('CHECKPOINT_INVALID', `${path} is ${kind}: put the file itself in the folder`)
      }
    }
  }
  await walk('')
  if (!files.includes('model_index.json')) {
    throw new DarkroomError(
      'CHECKPOINT_INVALID',
      `${directory} has no model_index.json: want the folder of a diffusers pipeline exported to ONNX`,
    )
  }
  return files.sort()
}
