import { formatPin, keys } from '@darkroom/proto'
import type { TagDocument } from '@darkroom/proto'
import type { ObjectStore } from '../object-store.ts'
import { readManifest } from './manifest.ts'

export interface ListedCheckpoint {
  readonly name: string
  readonly pin: string
  /** Tags that mean this pin now. */
  readonly tags: readonly string[]
  readonly bytes: number
  readonly files: number
}

const MANIFESTS = keys.checkpointManifests('').replace(/\/\/$/, '/')

/** Every checkpoint in the store, by name and then digest. */
export async function* listCheckpoints(store: ObjectStore): AsyncIterable<ListedCheckpoint> {
  for await (const prefix of store.listPrefixes(MANIFESTS)) {
    const name = prefix.slice(MANIFESTS.length).replace(/\/$/, '')
    const tags = await tagsOf(store, name)
    for await (const { key } of store.list(keys.checkpointManifests(name))) {
      const hex = /([0-9a-f]{64})\.json$/.exec(key)?.[1]
      if (hex === undefined) continue
      const pin = formatPin({ name, hex })
      const { files } = await readManifest(store, pin)
      const bytes = files.reduce((sum, file) => sum + file.size, 0)
      yield { name, pin, tags: tags.get(pin) ?? [], bytes, files: files.length }
    }
  }
}

async function tagsOf(store: ObjectStore, name: string): Promise<Map<string, string[]>> {
  const tags = new Map<string, string[]>()
  const folder = `${keys.checkpointTags}${name}/`
  for await (const { key } of store.list(folder)) {
    const document = await store.getJson<TagDocument>(key)
    if (document === null) continue
    const tag = key.slice(folder.length).replace(/\.json$/, '')
    tags.set(document.pin, [...(tags.get(document.pin) ?? []), tag])
  }
  return tags
}
