import { DarkroomError, pushCheckpoint } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { parseTag } from '@darkroom/proto'
import path from 'node:path'
import { checkConfigs, checkLayout } from './check-pipeline.ts'
import { fetchFromHub, findInCache } from './fetch-from-hub.ts'
import type { HubSettings } from './hub-settings.ts'
import { ImportProgress } from './import-progress.ts'
import { listFolder } from './list-folder.ts'
import { selectFiles } from './select-files.ts'
import { parseSource } from './source.ts'
import type { Source } from './source.ts'

export interface ImportOptions {
  /** By default the folder's or the repository's, in lower case. */
  readonly name?: string
  readonly tag: string
  readonly revision?: string
  readonly hub: HubSettings
  /** Takes a line about how it goes on. */
  readonly say: (line: string) => void
}

export interface Imported {
  readonly pin: string
  /** The folder, or OWNER/NAME. */
  readonly source: string
  /** Where it came from on the hub, and a tag of the checkpoint from now on; null for a folder. */
  readonly commit: string | null
  readonly files: number
  readonly bytes: number
}

/**
 * Brings a pipeline in ONNX from a folder or the hub into the store. The same files make the same pin wherever they come from.
 * @throws DarkroomError INVALID_REQUEST, NOT_FOUND, UNAUTHENTICATED, FORBIDDEN, CHECKPOINT_INVALID, CHECKPOINT_MISMATCH, STORE_UNAVAILABLE
 */
export async function importCheckpoint(store: ObjectStore, text: string, options: ImportOptions): Promise<Imported> {
  const { tag, hub, say } = options
  const source = await parseSource(text, options.revision)
  const shownAs = source.kind === 'folder' ? source.folder : source.repo
  const name = options.name ?? path.basename(shownAs).toLowerCase()
  // Now, and not when all is downloaded.
  if (parseTag(`${name}:${tag}`) === null)
    throw new DarkroomError(
      'INVALID_REQUEST',
      `${JSON.stringify(`${name}:${tag}`)} cannot name a checkpoint: give --name in lower-case letters, digits, '.', '_' and '-', and --tag likewise`,
    )
  const progress = new ImportProgress(say)
  const { files, commit } = await filesOf(source, hub, progress, say)
  let count = 0
  let bytes = 0
  const pin = await pushCheckpoint(store, files, {
    name,
    tag: commit === null ? tag : [...new Set([tag, commit])],
    onFile: (file) => {
      count++
      bytes += file.size
      progress.note(file.path, file.size, file.uploaded ? 'stored' : 'was in the store')
    },
  })
  return { pin, source: shownAs, commit, files: count, bytes }
}

async function filesOf(
  source: Source,
  hub: HubSettings,
  progress: ImportProgress,
  say: (line: string) => void,
): Promise<{ files: ReadonlyMap<string, string>; commit: string | null }> {
  if (source.kind === 'folder') {
    const found = await listFolder(source.folder)
    const paths = selectFiles([...found.keys()])
    const files = new Map(paths.map((each) => [each, found.get(each)!]))
    checkLayout(source.folder, paths)
    await checkConfigs(source.folder, files, paths)
    return { files, commit: null }
  }
  const tell = (commit: string): void => say(`${source.repo}@${source.revision} is commit ${commit}`)
  if (!hub.isOffline) return fetchFromHub(source, hub, progress, tell)
  const found = await findInCache(source, hub)
  tell(found.commit)
  return found
}
