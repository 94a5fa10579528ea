import { createReadStream } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { formatPin, isCheckpointName, keys, parseTag } from '@darkroom/proto'
import type { ManifestFile, TagDocument } from '@darkroom/proto'
import { DarkroomError } from '../errors.ts'
import type { ObjectStore } from '../object-store.ts'
import { expectDigest, hashFile } from './hash-file.ts'
import { encodeManifest } from './manifest.ts'
import { assertExternalDataInside } from './onnx-external-data.ts'
import { scanFolder } from './scan-folder.ts'

export interface PushOptions {
  /** The folder's name by default. */
  readonly name?: string
  /** "latest" by default. */
  readonly tag?: string
  /** Told of each file once it is in the store; `uploaded` false where the store had its content already. */
  readonly onFile?: (file: ManifestFile & { readonly uploaded: boolean }) => void
}

/**
 * Stores a pipeline folder: blobs, then the manifest, then the tag. Pushing the same bytes again changes nothing but the tag's time.
 * @returns the pin, NAME@sha256:HEX
 * @throws DarkroomError CHECKPOINT_INVALID, CHECKPOINT_MISMATCH (a file changed meanwhile), STORE_UNAVAILABLE
 */
export async function pushCheckpoint(
  store: ObjectStore,
  directory: string,
  { name = basename(resolve(directory)), tag = 'latest', onFile }: PushOptions = {},
): Promise<string> {
  if (!isCheckpointName(name)) {
    throw new DarkroomError(
      'CHECKPOINT_INVALID',
      `checkpoint name ${JSON.stringify(name)}: want lower-case letters, digits, '.', '_' and '-', up to 100`,
    )
  }
  if (parseTag(`${name}:${tag}`) === null) {
    throw new DarkroomError(
      'CHECKPOINT_INVALID',
      `tag ${JSON.stringify(tag)}: want letters, digits, '.', '_' and '-', up to 100`,
    )
  }
  const paths = await scanFolder(directory)
  const known = new Set(paths)
  for (const path of paths) {
    if (path.endsWith('.onnx')) assertExternalDataInside(join(directory, path), path, known)
  }
  const files: ManifestFile[] = []
  for (const path of paths) {
    const file = { path, ...(await hashFile(join(directory, path))) }
    files.push(file)
    const uploaded = await pushBlob(store, join(directory, path), file)
    onFile?.({ ...file, uploaded })
  }
  const { bytes, pin } = encodeManifest(name, files)
  await store.putIfAbsent(keys.checkpointManifest(name, pin.hex), bytes, { contentType: 'application/json' })
  const document: TagDocument = { pin: formatPin(pin), updatedAt: new Date().toISOString() }
  await store.put(keys.checkpointTag(name, tag), JSON.stringify(document), { contentType: 'application/json' })
  return document.pin
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
