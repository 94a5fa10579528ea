import { DarkroomError } from '@darkroom/chassis'
import { forEachAtOnce } from '../at-once.ts'
import { checkConfigs, checkLayout } from './check-pipeline.ts'
import { downloadFile } from './download-file.ts'
import { assertSound, HubCache } from './hub-cache.ts'
import { HubClient } from './hub-client.ts'
import type { HubFile } from './hub-client.ts'
import type { HubSettings } from './hub-settings.ts'
import type { ImportProgress } from './import-progress.ts'
import { isConfig, selectFiles } from './select-files.ts'

const AT_ONCE = 4

export interface Fetched {
  readonly commit: string
  /** Path in the checkpoint -> file in the cache, each verified. */
  readonly files: ReadonlyMap<string, string>
}

/**
 * Brings what a checkpoint needs of a repository into the cache, all of it from the commit that the revision means now:
 * configs first, so that what the farm cannot run is refused before its weights move.
 * @param onCommit told of the commit before anything is fetched
 * @throws DarkroomError
 */
export async function fetchFromHub(
  { repo, revision }: { readonly repo: string; readonly revision: string },
  settings: HubSettings,
  progress: ImportProgress,
  onCommit: (commit: string) => void,
): Promise<Fetched> {
  const client = new HubClient(repo, settings)
  const cache = new HubCache(settings.cacheDir, repo)
  const commit = await client.commitOf(revision)
  onCommit(commit)
  const listed = new Map((await client.files(commit)).map((file) => [file.path, file]))
  // Building every pointer refuses a listing with a hostile name before anything of it is fetched.
  for (const path of listed.keys()) cache.pointer(commit, path)
  const paths = selectFiles([...listed.keys()])
  checkLayout(repo, paths)
  const wanted = paths.map((path) => listed.get(path)!)
  const fetch = (files: readonly HubFile[]): Promise<Map<string, string>> =>
    fetchAll(files, client, cache, commit, progress)
  const configs = await fetch(wanted.filter(({ path }) => isConfig(path)))
  await checkConfigs(repo, configs, paths)
  const others = await fetch(wanted.filter(({ path }) => !isConfig(path)))
  // Only a whole snapshot becomes visible, so that --offline never meets half of one that we began.
  await cache.link(commit, wanted)
  await cache.remember(revision, commit)
  return { commit, files: new Map([...configs, ...others]) }
}

/** Finds in the cache what fetchFromHub left there, or Python. @throws DarkroomError NOT_FOUND, CHECKPOINT_INVALID, CHECKPOINT_MISMATCH */
export async function findInCache(
  { repo, revision }: { readonly repo: string; readonly revision: string },
  { cacheDir }: HubSettings,
): Promise<Fetched> {
  const cache = new HubCache(cacheDir, repo)
  const commit = await cache.commitOf(revision)
  const found = commit === null ? new Map<string, string>() : await cache.snapshot(commit)
  if (commit === null || found.size === 0)
    throw new DarkroomError(
      'NOT_FOUND',
      `${repo}@${revision} is not in the cache ${cacheDir}: import it once without --offline`,
    )
  const paths = selectFiles([...found.keys()])
  const files = new Map(paths.map((path) => [path, found.get(path)!]))
  checkLayout(`the cache of ${repo}`, paths)
  await checkConfigs(`the cache of ${repo}`, files, paths)
  for (const file of files.values()) await assertSound(file)
  return { commit, files }
}

async function fetchAll(
  files: readonly HubFile[],
  client: HubClient,
  cache: HubCache,
  commit: string,
  progress: ImportProgress,
): Promise<Map<string, string>> {
  // Files with the same bytes are one blob, and two downloads must not write it at once.
  const contents = new Map(files.map((file) => [file.etag, file]))
  const places = new Map<string, string>()
  await forEachAtOnce(contents.values(), AT_ONCE, async (file) => {
    const found = await cache.find(commit, file)
    if (found !== null) {
      progress.note(file.path, file.size, 'in the cache')
      places.set(file.etag, found)
      return
    }
    const { received, done } = progress.follow(file.path, file.size)
    places.set(file.etag, await downloadFile(client, cache, commit, file, received))
    done()
  })
  return new Map(files.map(({ path, etag }) => [path, places.get(etag)!]))
}
