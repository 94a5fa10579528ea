import { DarkroomError } from '@darkroom/chassis'
import { getRepoFolderName } from '@huggingface/hub'
import { lstat, mkdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { hasContent, isHash } from './content-hash.ts'
import type { HubFile } from './hub-client.ts'
import { isCommit } from './hub-client.ts'
import { listFolder } from './list-folder.ts'

/**
 * One repository in the cache that Python's huggingface_hub keeps, so that either uses what the other downloaded:
 * blobs/ETAG are the files, refs/REVISION says the commit, snapshots/COMMIT/… are links to the blobs.
 */
export class HubCache {
  /** models--OWNER--NAME */
  readonly folder: string

  constructor(cacheDir: string, repo: string) {
    this.folder = path.join(cacheDir, getRepoFolderName({ type: 'model', name: repo }))
  }

  blob(etag: string): string {
    return path.join(this.folder, 'blobs', etag)
  }

  /** What a revision meant when it was last looked up; null where it never was. */
  async commitOf(revision: string): Promise<string | null> {
    if (isCommit(revision)) return revision
    const text = await readFile(inside(path.join(this.folder, 'refs'), revision), 'utf8').catch(() => '')
    return isCommit(text.trim()) ? text.trim() : null
  }

  async remember(revision: string, commit: string): Promise<void> {
    if (isCommit(revision)) return
    const file = inside(path.join(this.folder, 'refs'), revision)
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(file, commit)
  }

  /** Where a file of a commit is seen. @throws DarkroomError CHECKPOINT_INVALID for a name that would lie elsewhere */
  pointer(commit: string, name: string): string {
    return inside(path.join(this.folder, 'snapshots', commit), name)
  }

  /** The file with these bytes, where it lies in the cache whole; spoilt ones are thrown away. */
  async find(commit: string, file: HubFile): Promise<string | null> {
    const blob = this.blob(file.etag)
    if (await isSound(blob, file)) return blob
    // Where the system has no symbolic links, Python keeps the file itself in the snapshot.
    const pointer = this.pointer(commit, file.path)
    return (await isSound(pointer, file)) ? pointer : null
  }

  /** Makes a commit's files visible to whoever uses the cache; called once all of them are there. */
  async link(commit: string, files: readonly HubFile[]): Promise<void> {
    for (const file of files) {
      const pointer = this.pointer(commit, file.path)
      await mkdir(path.dirname(pointer), { recursive: true })
      const target = path.relative(path.dirname(pointer), this.blob(file.etag))
      await symlink(target, pointer).catch((reason: unknown) => {
        if ((reason as NodeJS.ErrnoException).code !== 'EEXIST') throw reason
      })
    }
  }

  /** The files of a commit as far as they are there, unverified: path -> file. @throws DarkroomError CHECKPOINT_INVALID */
  async snapshot(commit: string): Promise<Map<string, string>> {
    const folder = path.join(this.folder, 'snapshots', commit)
    const stat = await lstat(folder).catch(() => null)
    return stat?.isDirectory() === true ? listFolder(folder, this.folder) : new Map<string, string>()
  }
}

/**
 * Holds a file of a snapshot against the name of the blob that it leads to, which says what its bytes hash to.
 * A file that Python put there without a blob has no such name, and is taken as it is.
 * @throws DarkroomError CHECKPOINT_MISMATCH
 */
export async function assertSound(file: string): Promise<void> {
  const blob = await realpath(file)
  const etag = path.basename(blob)
  if (path.basename(path.dirname(blob)) !== 'blobs' || !isHash(etag) || (await hasContent(blob, etag))) return
  throw new DarkroomError(
    'CHECKPOINT_MISMATCH',
    `${file} has other bytes than its name in the cache says (${etag}): import again without --offline`,
  )
}

/** Whether a plain file is there with the bytes wanted; one that has others is removed. */
async function isSound(file: string, { size, etag }: HubFile): Promise<boolean> {
  const stat = await lstat(file).catch(() => null)
  if (stat?.isFile() !== true) return false
  if (stat.size === size && (await hasContent(file, etag))) return true
  await rm(file, { force: true })
  return false
}

/** Joins a name that came from outside to a folder. @throws DarkroomError CHECKPOINT_INVALID where it leads out of it on any system */
function inside(folder: string, name: string): string {
  const parts = name.split('/')
  // oxlint-disable-next-line no-control-regex
  if (parts.some((part) => part === '' || part === '.' || part === '..') || /[\\:\u0000-\u001f]/.test(name))
    throw new DarkroomError(
      'CHECKPOINT_INVALID',
      `the hub lists a file ${JSON.stringify(name)}, whose name would lead out of its folder: nothing was downloaded`,
    )
  return path.join(folder, ...parts)
}
