import { createReadStream } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { formatPin, isCheckpointName, keys, parseTag } from '@darkroom/proto'
import type { ManifestFile, TagDocument } from '@darkroom/proto'
import { DarkroomError } from '../errors.ts'
import type { ObjectStore } from '../object-store.ts'
import { assertCheckpointPath } from './checkpoint-path.ts'
import { expectDigest, hashFile } from './hash-file.ts'
import { encodeManifest } from './manifest.ts'
import { assertExternalDataInside } from './onnx-external-data.ts'
import { scanFolder } from './scan-folder.ts'

export interface PushOptions {
  /** The folder's name by default. */
  readonly name?: string
  /** "latest" by default; several all come to mean this pin. */
  readonly tag?: string | readonly string[]
  /** Told of each file once it is in the store; `uploaded` false where the store had its content already. */
  readonly onFile?: (file: ManifestFile & { readonly uploaded: boolean }) => void
}

/**
 * Stores a pipeline folder: blobs, then the manifest, then the tags. Pushing the same bytes again changes nothing but the tags' time.
 * @param source the folder, or the files one by one where they lie elsewhere: path in the checkpoint -> file
 * @returns the pin, NAME@sha256:HEX
 * @throws DarkroomError CHECKPOINT_INVALID, CHECKPOINT_MISMATCH (a file changed meanwhile), STORE_UNAVAILABLE
 */
export async function pushCheckpoint(
  store: ObjectStore,
  source: string | ReadonlyMap<string, string>,
  { name = typeof source === 'string' ? basename(resolve(source)) : '', tag = 'latest', onFile }: PushOptions = {},
): Promise<string> {
  if (!isCheckpointName(name)) {
    throw new DarkroomError(
      'CHECKPOINT_INVALID',
      `checkpoint name ${JSON.stringify(name)}: want lower-case letters, digits, '.', '_' and '-', up to 100`,
    )
  }
  const tags = typeof tag === 'string' ? [tag] : tag
  for (const each of tags) {
    if (parseTag(`${name}:${each}`) === null) {
      throw new DarkroomError(
        'CHECKPOINT_INVALID',
        `tag ${JSON.stringify(each)}: want letters, digits, '.', '_' and '-', up to 100`,
      )
    }
  }
  const sources = typeof source === 'string' ? await folderFiles(source) : checkedFiles(source)
  const known = new Set(sources.keys())
  for (const [path, file] of sources) {
    if (path.endsWith('.onnx')) assertExternalDataInside(file, path, known)
  }
  const files: ManifestFile[] = []
  for (const [path, file] of sources) {
    const digest = { path, ...(await hashFile(file)) }
    files.push(digest)
    const uploaded = await pushBlob(store, file, digest)
    onFile?.({ ...digest, uploaded })
  }
  const { bytes, pin } = encodeManifest(name, files)
  await store.putIfAbsent(keys.checkpointManifest(name, pin.hex), bytes, { contentType: 'application/json' })
  const document: TagDocument = { pin: formatPin(pin), updatedAt: new Date().toISOString() }
  for (const each of tags) {
    await store.put(keys.checkpointTag(name, each), JSON.stringify(document), { contentType: 'application/json' })
  }
  return document.pin
}

async function folderFiles(directory: string): Promise<ReadonlyMap<string, string>> {
  return new Map((await scanFolder(directory)).map((path) => [path, join(directory, path)]))
}

function checkedFiles(source: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  for (const path of source.keys()) assertCheckpointPath(path)
  return new Map([...source].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

async function pushBlob(store: ObjectStore, source: string, file: ManifestFile): Promise<boolean> {
  const key = keys.checkpointBlob(file.sha256)
  const stored = await store.head(key)
  if (stored?.size === file.size) return false
  // Hashed again on its way, so that a file which changes while it is pushed never lands under another content's name.
  const content = createReadStream(source, { highWaterMark: 1 << 20 }).pipe(
    expectDigest(file, (got) => {
      return new DarkroomError(
        'CHECKPOINT_MISMATCH',
        `${file.path} changed while it was pushed: expected sha256 ${file.sha256}, got ${got.sha256}`,
      )
    }),
  )
  await store.putStream(key, content, { contentType: 'application/octet-stream' })
  return true
}
