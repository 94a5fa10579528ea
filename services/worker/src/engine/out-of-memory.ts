/** What CUDA, cuDNN, cuBLAS, onnxruntime's arena and C++ say. */
export function isOutOfMemory(reason: unknown): boolean {
  return /out of memory|failed to allocate|ALLOC_FAILED|bad_alloc/i.test(reason instanceof Error ? reason.message : '')
}
