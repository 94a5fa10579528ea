import { DarkroomError } from '@darkroom/chassis'
import { batchVersion } from '@darkroom/proto'
import type { Batch } from '@darkroom/proto'
import { Type } from 'typebox'

/** For the `headers` part of a route's schema. */
export const ifMatchHeaders = Type.Object({
  'if-match': Type.Optional(
    Type.String({
      description:
        'The ETag that the batch had when you decided: 412 where somebody has changed it since, or it has ended. Progress changes no ETag.',
    }),
  ),
})

/** Those who ask at the same time share a batch, and its hash. */
const etags = new WeakMap<Batch, string>()

export function etagOf(batch: Batch): string {
  let etag = etags.get(batch)
  if (etag === undefined) etags.set(batch, (etag = `"${batchVersion(batch)}"`))
  return etag
}

/** What the coordinator compares. @throws DarkroomError PRECONDITION_FAILED for what can be no ETag of a batch */
export function versionWanted(ifMatch: string | undefined): string {
  if (ifMatch === undefined || ifMatch.trim() === '*') return ''
  const [, version] = /^\s*"([0-9a-f]{16})"\s*$/u.exec(ifMatch) ?? []
  if (version !== undefined) return version
  throw new DarkroomError('PRECONDITION_FAILED', `If-Match is no ETag of a batch: send the one that GET gave, or *`)
}
