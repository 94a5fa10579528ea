import { create } from '@bufbuild/protobuf'
import { timestampNow } from '@bufbuild/protobuf/wkt'
import { WorkerSchema, WorkerState } from '@darkroom/proto'
import type { Worker } from '@darkroom/proto'
import packageJson from '../package.json' with { type: 'json' }
import type { CheckpointShelf } from './checkpoint-shelf.ts'
import type { DeviceAccount } from './device-account.ts'
import type { GpuReading } from './device/nvidia-smi.ts'
import type { Engine } from './engine/engine.ts'
import type { WorkerEvents } from './events.ts'
import type { ShardLoop } from './shards/shard-loop.ts'
import type { Lifecycle } from './state.ts'

export interface ReportParts {
  readonly id: string
  readonly pool: string
  readonly tags: readonly string[]
  /** Where the worker serves gRPC, "host:port"; known once it does. */
  readonly serving: { readonly address: string }
  readonly engine: Engine
  readonly account: DeviceAccount
  readonly lifecycle: Lifecycle
  readonly shelf: CheckpointShelf
  readonly shards: ShardLoop
  readonly events: WorkerEvents
  readonly gpu: () => GpuReading | null
}

/** Returns what tells the worker as it is at each call: for heartbeats and Describe. */
export function createReport(parts: ReportParts) {
  const { id, pool, tags, serving, engine, account, lifecycle, shelf, shards, events, gpu } = parts
  const { device } = engine
  const connectedAt = timestampNow()
  return (): Worker => {
    const reading = gpu()
    if (lifecycle.state === WorkerState.IDLE || lifecycle.state === WorkerState.RENDERING) {
      lifecycle.to(shards.held.length > 0 ? WorkerState.RENDERING : WorkerState.IDLE)
    }
    return create(WorkerSchema, {
      id,
      pool,
      tags: [...tags],
      address: serving.address,
      state: lifecycle.state,
      version: packageJson.version,
      device: {
        kind: device.kind,
        name: reading?.name ?? device.name,
        memoryBytes: BigInt(reading?.memoryTotalBytes ?? 0),
        reason: device.reason,
      },
      residentCheckpoints: [...shelf.resident],
      checkpointLoads: shelf.loads,
      checkpointLoadSeconds: shelf.loadSeconds,
      running: shards.held.map(({ assignment: { batchId, shardId, attempt }, stepsDone, stepsTotal, stepsResumed }) => {
        return { batchId, shardId, attempt, stepsDone, stepsTotal, stepsResumed }
      }),
      ...(reading !== null && {
        gpu: {
          utilizationRatio: reading.utilizationRatio,
          memoryUsedBytes: BigInt(reading.memoryUsedBytes),
          memoryTotalBytes: BigInt(reading.memoryTotalBytes),
          powerWatts: reading.powerWatts,
          temperatureCelsius: reading.temperatureCelsius,
        },
      }),
      connectedAt,
      seenAt: timestampNow(),
      imagesRendered: BigInt(events.imageCount),
      busySeconds: engine.clock.read().renderSeconds,
      activity: BigInt(events.activity),
      deviceDays: account.days(),
    })
  }
}
