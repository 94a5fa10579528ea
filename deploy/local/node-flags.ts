/**
 * What a coordinator's Node is started with, here and in its image. V8 lets the nursery of a busy process grow to 64 MiB and more, and the heap to twice
 * its size between two full collections; what is read and parsed of a batch's segments is garbage at once, so that a small
 * nursery and an early collection cost nothing: `npm run bench -- memory`.
 */
export const COORDINATOR_NODE_FLAGS = ['--max-semi-space-size=16', '--heap-growing-percent=20'] as const
