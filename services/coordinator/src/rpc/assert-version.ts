import { DarkroomError } from '@darkroom/chassis'
import { batchVersion } from '@darkroom/proto'
import type { Batch } from '@darkroom/proto'

/** @param wanted empty: any. @throws DarkroomError PRECONDITION_FAILED */
export function assertVersion(batch: Batch, wanted: string): void {
  if (wanted === '' || wanted === batchVersion(batch)) return
  throw new DarkroomError(
    'PRECONDITION_FAILED',
    `somebody has changed batch ${batch.id}, or it has ended, since it was read: read it again, then decide`,
  )
}
