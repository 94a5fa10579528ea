import { rowsOf } from '@darkroom/diffusion'
import type { BatchSizes } from './batch-sizes.ts'
import type { ActiveJob } from './job.ts'
import { isOutOfMemory } from './out-of-memory.ts'

/** Calls the denoiser with each size of a closed set, twice: the second is what it takes. The lane is left as it is. */
export async function meetSizes({ model, lane, conditioning }: ActiveJob, sizes: BatchSizes): Promise<void> {
  const own = rowsOf(lane.spec, lane.request)
  for (const rows of sizes.closed?.filter((size) => size >= own) ?? []) {
    try {
      await model.predict([lane], [conditioning], rows)
      const { seconds } = await model.predict([lane], [conditioning], rows)
      sizes.took(rows, seconds)
    } catch (reason) {
      if (!isOutOfMemory(reason) || !sizes.shrink(rows)) throw reason
    }
  }
}
