import {
  COMMON_VARIABLES,
  folders,
  integer,
  list,
  NATS_VARIABLES,
  oneOf,
  optional,
  STORE_VARIABLES,
  text,
} from '@darkroom/chassis'
import type { Values, Variable } from '@darkroom/chassis'
import os from 'node:os'
import path from 'node:path'

export const WORKER_VARIABLES = {
  ...COMMON_VARIABLES,
  ...NATS_VARIABLES,
  ...STORE_VARIABLES,
  workerId: text('DARKROOM_WORKER_ID', 'name of this worker, unique in the farm', `${os.hostname()}-${process.pid}`),
  pool: subjectToken(text('DARKROOM_WORKER_POOL', 'pool of like workers that it belongs to', 'default')),
  tags: optional(
    list('DARKROOM_WORKER_TAGS', 'what batches may ask of a worker, in words of your own: "spot", "nvlink"', undefined),
  ),
  coordinators: list('DARKROOM_WORKER_COORDINATORS', 'host:port of every coordinator', '127.0.0.1:50051'),
  host: text('DARKROOM_WORKER_HOST', 'address that gRPC and the admin port listen on', '127.0.0.1'),
  port: integer('DARKROOM_WORKER_PORT', 'gRPC port; 0 takes a free one', 50_052, { min: 0, max: 65_535 }),
  adminPort: integer('DARKROOM_WORKER_ADMIN_PORT', 'port of /metrics, /livez and /readyz; 0 takes a free one', 9_092, {
    min: 0,
    max: 65_535,
  }),
  cacheDir: text('DARKROOM_WORKER_CACHE_DIR', 'folder for checkpoints', path.join(os.tmpdir(), 'darkroom-checkpoints')),
  device: oneOf(
    'DARKROOM_WORKER_DEVICE',
    'execution provider; auto takes CUDA where it works, else the CPU',
    ['auto', 'cpu', 'cuda', 'webgpu'],
    'auto',
  ),
  deviceOrdinal: integer('DARKROOM_WORKER_DEVICE_ORDINAL', 'which GPU of the host', 0, { min: 0, max: 63 }),
  cudaLibraryPath: folders(
    'DARKROOM_CUDA_LIBRARY_PATH',
    "folders with CUDA's and cuDNN's libraries, or with those of Python's nvidia-* wheels below them; searched first",
  ),
  threads: integer('DARKROOM_WORKER_THREADS', 'CPU threads of one UNet call', 1, { min: 1, max: 256 }),
  maxRows: optional(
    integer(
      'DARKROOM_WORKER_MAX_BATCH',
      'most rows of one UNet call, of which an image with guidance takes two; by default 8 on the CPU, 32 on a GPU',
      undefined,
      { min: 2, max: 256 },
    ),
  ),
  shapes: oneOf(
    'DARKROOM_WORKER_SHAPES',
    'rows of UNet calls: any number, padded to a closed set, or those of a single image, so that pixels depend on the request alone on a GPU too; auto takes any on the CPU, a closed set on a GPU',
    ['auto', 'any', 'closed', 'single'],
    'auto',
  ),
  memoryMib: optional(
    integer(
      'DARKROOM_WORKER_MEMORY_MIB',
      'memory for checkpoints; by default half of what the process may have, or 80 % of the GPU',
      undefined,
      { min: 1 },
    ),
  ),
  keptCheckpoints: optional(
    list(
      'DARKROOM_WORKER_KEPT_CHECKPOINTS',
      'checkpoints that are loaded before the worker is ready, and stay in memory: NAME, NAME:TAG or a pin',
      undefined,
    ),
  ),
  idleUnloadS: integer(
    'DARKROOM_WORKER_IDLE_UNLOAD_S',
    'seconds after which a checkpoint that nobody uses leaves the memory; 0: only to make room',
    0,
    { min: 0 },
  ),
  maxLoads: integer(
    'DARKROOM_WORKER_MAX_LOADS',
    'loads of checkpoints after which the worker drains and leaves, for its supervisor to start it anew: onnxruntime keeps some memory of each; 0: never',
    0,
    { min: 0 },
  ),
  graceMs: integer('DARKROOM_WORKER_GRACE_MS', 'time for running shards after SIGTERM', 20_000, {
    min: 0,
    max: 28_000,
  }),
} as const

export type WorkerConfig = Values<typeof WORKER_VARIABLES>

/** A pool's name is part of a NATS subject. */
function subjectToken(inner: Variable<string>): Variable<string> {
  return {
    ...inner,
    read(environment) {
      const value = inner.read(environment)
      if (!/^[A-Za-z0-9_-]+$/.test(value)) throw new Error(`want letters, digits, '-' and '_', got '${value}'`)
      return value
    },
  }
}
