import { Type } from 'typebox'
import type { Static, TSchema } from 'typebox'
import { WorkerState } from '@darkroom/proto'
import type { Worker } from '@darkroom/proto'
import { isoTime } from '../batches/batch-json.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'

const STATES = {
  [WorkerState.STARTING]: 'starting',
  [WorkerState.IDLE]: 'idle',
  [WorkerState.RENDERING]: 'rendering',
  [WorkerState.DRAINING]: 'draining',
  [WorkerState.LOST]: 'lost',
} as const

const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

const workerSchema = Type.Object({
  id: Type.String(),
  state: Type.Enum(Object.values(STATES)),
  pool: Type.String(),
  version: Type.String(),
  address: Type.String({ description: 'host:port of its gRPC server.' }),
  device: orNull(
    Type.Object({
      kind: Type.String({ description: 'cpu, cuda or webgpu.' }),
      name: Type.String(),
      memoryBytes: Type.Integer(),
      reason: Type.String({ description: 'Why this one, and why no other.' }),
    }),
  ),
  tags: Type.Array(Type.String({ description: "The operator's own words, which batches may ask for." })),
  quarantine: orNull(
    Type.String({
      description:
        'Why it is given nothing: stalled, fails_what_others_render or renders_other_pixels; null unless it is in quarantine.',
    }),
  ),
  residentCheckpoints: Type.Array(Type.String()),
  running: Type.Array(
    Type.Object({
      batchId: Type.String(),
      shardId: Type.String(),
      attempt: Type.Integer(),
      stepsDone: Type.Integer(),
      stepsTotal: Type.Integer(),
      stepsResumed: Type.Integer({ description: 'Of those done, the ones that earlier attempts did.' }),
    }),
  ),
  gpu: orNull(
    Type.Object({
      utilizationRatio: Type.Number(),
      memoryUsedBytes: Type.Integer(),
      memoryTotalBytes: Type.Integer(),
      powerWatts: Type.Number(),
      temperatureCelsius: Type.Number(),
    }),
  ),
  connectedAt: orNull(Type.String({ format: 'date-time' })),
  seenAt: orNull(Type.String({ format: 'date-time' })),
  imagesRendered: Type.Integer(),
  busySeconds: Type.Number({ description: "Seconds that the device spent computing since the worker's start." }),
})

export function listWorkers(app: App, { coordinator }: GatewayContext): void {
  app.route({
    method: 'GET',
    url: '/api/v1/workers',
    config: { scope: 'admin' },
    schema: {
      operationId: 'listWorkers',
      summary: 'List workers',
      tags: ['farm'],
      response: { 200: Type.Object({ workers: Type.Array(workerSchema) }), ...problemResponses },
    },
    handler: async () => {
      const { workers } = await coordinator.listWorkers({})
      return { workers: workers.map(workerJson) }
    },
  })
}

function workerJson({ device, gpu, ...worker }: Worker): Static<typeof workerSchema> {
  return {
    id: worker.id,
    state: Object.hasOwn(STATES, worker.state) ? STATES[worker.state as keyof typeof STATES] : 'starting',
    pool: worker.pool,
    version: worker.version,
    address: worker.address,
    device:
      device === undefined
        ? null
        : { kind: device.kind, name: device.name, memoryBytes: Number(device.memoryBytes), reason: device.reason },
    tags: worker.tags,
    quarantine: worker.quarantine === '' ? null : worker.quarantine,
    residentCheckpoints: worker.residentCheckpoints,
    running: worker.running.map(({ batchId, shardId, attempt, stepsDone, stepsTotal, stepsResumed }) => ({
      batchId,
      shardId,
      attempt,
      stepsDone,
      stepsTotal,
      stepsResumed,
    })),
    gpu:
      gpu === undefined
        ? null
        : {
            utilizationRatio: gpu.utilizationRatio,
            memoryUsedBytes: Number(gpu.memoryUsedBytes),
            memoryTotalBytes: Number(gpu.memoryTotalBytes),
            powerWatts: gpu.powerWatts,
            temperatureCelsius: gpu.temperatureCelsius,
          },
    connectedAt: isoTime(worker.connectedAt),
    seenAt: isoTime(worker.seenAt),
    imagesRendered: Number(worker.imagesRendered),
    busySeconds: worker.busySeconds,
  }
}
