import { createHash } from 'node:crypto'
import { formatPin, isCheckpointName, keys, parsePin } from '@darkroom/proto'
import type { CheckpointManifest, ManifestFile, Pin } from '@darkroom/proto'
import { DarkroomError } from '../errors.ts'
import type { ObjectStore } from '../object-store.ts'
import { assertCheckpointPath } from './checkpoint-path.ts'

const MAX_MANIFEST_BYTES = 4 << 20
const HEX = /^[0-9a-f]{64}$/

/** Canonical bytes and what they hash to: the pin. */
export function encodeManifest(name: string, files: readonly ManifestFile[]): { bytes: Buffer; pin: Pin } {
  const sorted = files
    .map(({ path, size, sha256 }) => ({ path, size, sha256 }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
  const manifest: CheckpointManifest = { version: 1, name, files: sorted }
  const bytes = Buffer.from(JSON.stringify(manifest))
  return { bytes, pin: { name, hex: createHash('sha256').update(bytes).digest('hex') } }
}

/** @throws DarkroomError CHECKPOINT_INVALID */
export function requirePin(text: string): Pin {
  const pin = parsePin(text)
  if (pin === null) {
    throw new DarkroomError('CHECKPOINT_INVALID', `${JSON.stringify(text)} is not a pin: want NAME@sha256:HEX`)
  }
  return pin
}

function assertManifest(value: unknown, shownAs: string): asserts value is CheckpointManifest {
  const refuse = (why: string): never => {
    throw new DarkroomError('CHECKPOINT_INVALID', `manifest ${shownAs}: ${why}`)
  }
  const manifest = value as Partial<CheckpointManifest> | null
  if (typeof manifest !== 'object' || manifest === null || manifest.version !== 1) refuse('version is not 1')
  const { name, files } = manifest as Partial<CheckpointManifest>
  if (typeof name !== 'string' || !isCheckpointName(name)) refuse('name is not a checkpoint name')
  if (!Array.isArray(files) || files.length === 0) return refuse('it lists no files')
  const folders = new Set<string>()
  let previous = ''
  for (const file of files as Partial<ManifestFile>[]) {
    if (typeof file?.path !== 'string') return refuse('a file has no path')
    assertCheckpointPath(file.path)
    if (!Number.isSafeInteger(file.size) || file.size! < 0) refuse(`size of ${file.path} is not a number of bytes`)
    if (typeof file.sha256 !== 'string' || !HEX.test(file.sha256)) refuse(`sha256 of ${file.path} is not 64 hex digits`)
    if (file.path <= previous) refuse(`${file.path} is listed twice or out of order`)
    previous = file.path
    for (let cut = file.path.indexOf('/'); cut !== -1; cut = file.path.indexOf('/', cut + 1)) {
      folders.add(file.path.slice(0, cut))
    }
  }
  const both = (files as ManifestFile[]).find(({ path }) => folders.has(path))
  if (both !== undefined) refuse(`${both.path} is both a file and a folder`)
}

/**
 * Reads the manifest that a pin names, and trusts it no further than its hash and its checked paths.
 * @throws DarkroomError NOT_FOUND, CHECKPOINT_MISMATCH (other bytes than the pin says), CHECKPOINT_INVALID
 */
export async function readManifest(store: ObjectStore, pin: string): Promise<CheckpointManifest> {
  const { name, hex } = requirePin(pin)
  const key = keys.checkpointManifest(name, hex)
  const bytes = await store.get(key)
  if (bytes === null) throw new DarkroomError('NOT_FOUND', `no checkpoint ${pin}`)
  if (bytes.length > MAX_MANIFEST_BYTES) throw new DarkroomError('CHECKPOINT_INVALID', `manifest ${key} is too large`)
  const got = createHash('sha256').update(bytes).digest('hex')
  if (got !== hex) {
    throw new DarkroomError('CHECKPOINT_MISMATCH', `manifest ${key}: expected sha256 ${hex}, got ${got}`)
  }
  const manifest = parseJson(bytes, key)
  assertManifest(manifest, formatPin({ name, hex }))
  if (manifest.name !== name) {
    throw new DarkroomError(
      'CHECKPOINT_INVALID',
      `manifest ${key} is for ${JSON.stringify(manifest.name)}, not ${name}`,
    )
  }
  return manifest
}

/** @throws DarkroomError CHECKPOINT_INVALID */
function parseJson(bytes: Uint8Array, shownAs: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new DarkroomError('CHECKPOINT_INVALID', `${shownAs} is not JSON`, { cause: error })
  }
}
