import { formatPin, keys, parsePin, parseTag } from '@darkroom/proto'
import type { TagDocument } from '@darkroom/proto'
import { DarkroomError } from '../errors.ts'
import type { ObjectStore } from '../object-store.ts'
import { requirePin } from './manifest.ts'

const NAMES_SHOWN = 20

/**
 * Finds the pin that a reference means now: a pin itself, `name` or `name:tag`.
 * @throws DarkroomError INVALID_REQUEST (no reference), NOT_FOUND (tells what there is)
 */
export async function resolveCheckpoint(store: ObjectStore, reference: string): Promise<string> {
  const pin = parsePin(reference)
  if (pin !== null) {
    if ((await store.head(keys.checkpointManifest(pin.name, pin.hex))) !== null) return formatPin(pin)
    throw await notFound(store, reference)
  }
  const tagged = parseTag(reference)
  if (tagged === null) {
    throw new DarkroomError(
      'INVALID_REQUEST',
      `${JSON.stringify(reference)} names no checkpoint: want NAME, NAME:TAG or NAME@sha256:HEX`,
    )
  }
  const document = await store.getJson<TagDocument>(keys.checkpointTag(tagged.name, tagged.tag))
  if (document === null) throw await notFound(store, reference)
  return formatPin(requirePin(document.pin))
}

async function notFound(store: ObjectStore, reference: string): Promise<DarkroomError> {
  const names: string[] = []
  for await (const prefix of store.listPrefixes(keys.checkpointTags)) {
    names.push(prefix.slice(keys.checkpointTags.length).replace(/\/$/, ''))
    if (names.length === NAMES_SHOWN) break
  }
  const known = names.length === 0 ? 'none was pushed yet' : `known: ${names.join(', ')}`
  return new DarkroomError('NOT_FOUND', `no checkpoint ${reference} (${known})`)
}
