import { DarkroomError } from '@darkroom/chassis'
import { readdir, realpath, stat } from 'node:fs/promises'
import path from 'node:path'

/**
 * Lists the files of a folder, by '/'-separated path; hidden ones are left out. Symbolic links to files are followed
 * as long as they stay inside `root`.
 * @returns path in the folder -> file
 * @throws DarkroomError CHECKPOINT_INVALID for links that lead elsewhere, and for what is neither file nor folder
 */
export async function listFolder(folder: string, root = folder): Promise<Map<string, string>> {
  const realRoot = await realpath(root)
  const files = new Map<string, string>()
  const walk = async (under: string): Promise<void> => {
    for (const entry of await readdir(path.join(folder, under), { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue
      const name = under === '' ? entry.name : `${under}/${entry.name}`
      const file = path.join(folder, name)
      if (entry.isDirectory()) await walk(name)
      else if (entry.isFile() || (entry.isSymbolicLink() && (await leadsToFileInside(file, realRoot))))
        files.set(name, file)
      else
        throw new DarkroomError(
          'CHECKPOINT_INVALID',
          `${file} is no file, nor a link to one inside ${root}: put the file itself there`,
        )
    }
  }
  await walk('')
  return files
}

async function leadsToFileInside(link: string, realRoot: string): Promise<boolean> {
  const target = await realpath(link).catch(() => null)
  return target !== null && target.startsWith(`${realRoot}${path.sep}`) && (await stat(target)).isFile()
}
