import { rowsOf } from '@darkroom/diffusion'
import type { BatchSizes } from './batch-sizes.ts'
import type { ActiveJob } from './job.ts'

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

/** What CUDA, cuDNN, cuBLAS, onnxruntime's arena and C++ say. */
export function isOutOfMemory(reason: unknown): boolean {
  return /out of memory|failed to allocate|ALLOC_FAILED|bad_alloc/i.test(reason instanceof Error ? reason.message : '')
}
