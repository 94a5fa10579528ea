import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { chmod, copyFile, link, lstat, mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { keys } from '@darkroom/proto'
import type { ManifestFile } from '@darkroom/proto'
import { DarkroomError } from '../errors.ts'
import type { ObjectStore } from '../object-store.ts'
import { expectDigest, hashFile } from './hash-file.ts'
import type { FileDigest } from './hash-file.ts'
import { readManifest, requirePin } from './manifest.ts'
import { assertExternalDataInside } from './onnx-external-data.ts'

export interface FetchOptions {
  readonly signal?: AbortSignal
  /** Told of each piece that comes from the store. */
  readonly onBytes?: (count: number) => void
}

/**
 * Brings a checkpoint into a content-addressed cache and returns its folder, read-only, after every byte of it was verified
 * in this call: what lay in the cache is trusted no more than what comes from the store.
 * Several processes may share one cache folder.
 *
 * CACHE/blobs/sha256/HEX are the files, CACHE/checkpoints/HEX/… hard links to them (copies where the file system has none).
 *
 * @throws DarkroomError NOT_FOUND, CHECKPOINT_INVALID, CHECKPOINT_MISMATCH (names path, expected and got), STORE_UNAVAILABLE
 */
export async function fetchCheckpoint(
  store: ObjectStore,
  pin: string,
  cacheDir: string,
  options: FetchOptions = {},
): Promise<string> {
  const { signal } = options
  const manifest = await readManifest(store, pin)
  const folder = join(cacheDir, 'checkpoints', requirePin(pin).hex)
  await mkdir(join(cacheDir, 'blobs', 'sha256'), { recursive: true })
  await mkdir(join(cacheDir, 'tmp'), { recursive: true })
  const paths = new Set(manifest.files.map(({ path }) => path))
  for (const file of manifest.files) {
    const target = join(folder, file.path)
    if (!(await hasContent(target, file, signal))) await placeFile(store, file, cacheDir, target, options)
  }
  for (const path of paths) {
    if (path.endsWith('.onnx')) assertExternalDataInside(join(folder, path), path, paths)
  }
  return folder
}

/** Whether a plain file is there with exactly these bytes. */
async function hasContent(path: string, expected: FileDigest, signal?: AbortSignal): Promise<boolean> {
  try {
    const stat = await lstat(path)
    if (!stat.isFile() || stat.size !== expected.size) return false
    return (await hashFile(path, signal)).sha256 === expected.sha256
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
}

/**
 * Puts one verified file at `target`, from the cache where that is sound, else from the store.
 * Each file appears by a rename, so processes that fill the same folder only ever replace bytes by equal bytes.
 */
async function placeFile(
  store: ObjectStore,
  file: ManifestFile,
  cacheDir: string,
  target: string,
  options: FetchOptions,
): Promise<void> {
  const blob = join(cacheDir, 'blobs', 'sha256', file.sha256)
  const temporary = join(cacheDir, 'tmp', randomUUID())
  try {
    if (!(await hasContent(blob, file, options.signal))) {
      await download(store, file, temporary, options)
      await rename(temporary, blob)
    }
    await linkOrCopy(blob, temporary, file)
    await mkdir(dirname(target), { recursive: true })
    await rename(temporary, target)
  } finally {
    await rm(temporary, { force: true })
  }
}

async function linkOrCopy(blob: string, target: string, file: ManifestFile): Promise<void> {
  try {
    await link(blob, target)
  } catch {
    // No hard links on this file system.
    await copyFile(blob, target)
    await chmod(target, 0o444)
    if (!(await hasContent(target, file))) {
      throw new DarkroomError('CHECKPOINT_MISMATCH', `${file.path}: its copy in the cache differs from its source`)
    }
  }
}

async function download(
  store: ObjectStore,
  file: ManifestFile,
  target: string,
  { signal, onBytes }: FetchOptions,
): Promise<void> {
  const object = await store.getStream(keys.checkpointBlob(file.sha256))
  if (object === null) {
    throw new DarkroomError('CHECKPOINT_MISMATCH', `${file.path}: expected sha256 ${file.sha256}, got no object`)
  }
  const verified = expectDigest(file, (got) => {
    return new DarkroomError(
      'CHECKPOINT_MISMATCH',
      `${file.path}: expected ${file.size} bytes with sha256 ${file.sha256}, got ${got.size} bytes with ${got.sha256}`,
    )
  })
  async function* told(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      onBytes?.(chunk.length)
      yield chunk
    }
  }
  await pipeline(object.body, told, verified, createWriteStream(target, { mode: 0o444, flush: true }), {
    ...(signal && { signal }),
  })
}
