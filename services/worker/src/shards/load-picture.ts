import { DarkroomError, decodePicture, PICTURE_LIMITS } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import type { Raster } from '@darkroom/diffusion'
import { isInputPictureKey } from '@darkroom/proto'
import { createHash } from 'node:crypto'
import type { WorkerEvents } from '../events.ts'
import { insist } from './insist.ts'

export interface PictureSource {
  readonly store: ObjectStore
  readonly events: WorkerEvents
}

/**
 * Fetches an uploaded picture, holds its bytes against its name and the limits, and decodes it: RGB in memory that threads
 * share, so that it is not copied for each image that starts from it. An object store that is away is waited for.
 * @throws DarkroomError RENDER_FAILED for a picture that is missing, broken or too large; CANCELLED by the signal
 */
export async function loadPicture({ store, events }: PictureSource, key: string, signal: AbortSignal): Promise<Raster> {
  if (!isInputPictureKey(key)) throw refused(`'${key}' is no key of an uploaded picture`)
  const bytes = await insist(signal, () => fetchPicture(store, key))
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  if (!key.endsWith(sha256)) throw refused(`the object ${key} has other bytes than its name says; upload it again`)
  const start = performance.now()
  const decoded = await decodePicture(bytes).catch((reason: unknown) => {
    const { code, message } = DarkroomError.from(reason)
    throw code === 'INTERNAL' ? reason : refused(message)
  })
  events.stageTaken('picture_decode', (performance.now() - start) / 1000)
  const data = new Uint8Array(new SharedArrayBuffer(decoded.data.length))
  data.set(decoded.data)
  return { ...decoded, data }
}

/** Asks for the size first: nobody's word is taken for it that the object is a picture. */
async function fetchPicture(store: ObjectStore, key: string): Promise<Uint8Array> {
  const found = await store.head(key)
  if (found !== null && found.size > PICTURE_LIMITS.bytes) {
    throw refused(`the object ${key} has ${found.size} bytes; want at most ${PICTURE_LIMITS.bytes}`)
  }
  const bytes = found === null ? null : await store.get(key)
  if (bytes === null) throw refused(`the object store has no ${key}; upload the picture again`)
  return bytes
}

function refused(message: string): DarkroomError {
  return new DarkroomError('RENDER_FAILED', message)
}
