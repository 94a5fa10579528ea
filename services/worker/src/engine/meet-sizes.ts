import { rowsOf } from '@darkroom/diffusion'
import type { BatchSizes } from './batch-sizes.ts'
import type { ActiveJob } from './job.ts'
import { isOutOfMemory } from './out-of-memory.ts'

/**
 * Calls the denoiser with each size of a closed set, twice: the second is what it takes. And with the largest once more: what that
 * takes longer is the change of size. The lane is left as it is.
 */
export async function meetSizes({ model, lane, conditioning }: ActiveJob, sizes: BatchSizes): Promise<void> {
  const own = rowsOf(lane.spec, lane.request)
  const call = async (rows: number): Promise<number> => (await model.predict([lane], [conditioning], rows)).seconds
  const met: number[] = []
  for (const rows of sizes.closed?.filter((size) => size >= own) ?? []) {
    try {
      await call(rows)
      sizes.took(rows, await call(rows), false)
      met.push(rows)
    } catch (reason) {
      if (!isOutOfMemory(reason) || !sizes.shrink(rows)) throw reason
    }
  }
  if (met.length > 1) sizes.took(met[0]!, await call(met[0]!), true)
}
