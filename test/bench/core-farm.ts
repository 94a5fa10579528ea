import { create } from '@bufbuild/protobuf'
import { createState, decide, FIRST_SECONDS_PER_UNIT, NO_NEEDS, noCounts } from '@darkroom/coordinator/internal'
import type { FarmCommand, FarmEvent, FarmState, SegmentSummary } from '@darkroom/coordinator/internal'
import { WorkerSchema } from '@darkroom/proto'

export type Dispatch = Extract<FarmCommand, { type: 'dispatch' }>

export const FARM_SETTINGS = {
  window: 2,
  maxFailures: 5,
  auditShare: 0,
  workerLeaseMs: 5_000,
  progressLeaseMs: 120_000,
  detachedGraceMs: 1_000,
  unownedMs: 10_000,
  starvationMs: 120_000,
}
const SCHEDULER = 'DDIMScheduler'
/** A second's work to a cost model that knows nothing. */
const WORK = { [SCHEDULER]: 1 / FIRST_SECONDS_PER_UNIT }

export interface BacklogBatch {
  readonly id: string
  readonly tenant: string
  readonly priority: number
  readonly shards: number
  readonly checkpointOf: (shard: number) => string
}

/** The coordinator's core alone, with planned batches, workers that are only told of, and virtual time. */
export class CoreFarm {
  readonly state: FarmState = createState(FARM_SETTINGS, 0)
  /** What workers hold, in the order of its dispatch. */
  readonly held: Dispatch[] = []
  /** Segments that are wanted. */
  readonly plans: Extract<FarmCommand, { type: 'planSegment' }>[] = []
  nowMs = 0
  #sequence = 0

  /** @returns microseconds of the decision, without what is played around it */
  send(event: FarmEvent): number {
    const start = performance.now()
    const commands = decide(this.state, event, this.nowMs)
    const microseconds = 1000 * (performance.now() - start)
    for (const command of commands) {
      if (command.type === 'planSegment') this.plans.push(command)
      if (command.type !== 'dispatch') continue
      this.held.push(command)
      this.send({ ...command, type: 'shardDispatched', sequence: ++this.#sequence })
    }
    return microseconds
  }

  open({ shards, checkpointOf, ...batch }: BacklogBatch): void {
    const planned = Array.from({ length: shards }, (_, n) => ({
      id: `0-${n}`,
      items: [[n, n]] as const,
      itemCount: 1,
      checkpoint: checkpointOf(n),
      work: WORK,
    }))
    this.#open({ ...batch, itemCount: shards }, 1, [{ shards: planned, ended: [] }])
  }

  openUnplanned(id: string, itemCount: number, segments: number): void {
    this.#open({ id, itemCount, tenant: 'default', priority: 0 }, segments, [])
  }

  #open(
    batch: { readonly id: string; readonly tenant: string; readonly priority: number; readonly itemCount: number },
    segmentCount: number,
    segments: readonly SegmentSummary[],
  ): void {
    this.send({
      type: 'batchOpened',
      batch: {
        ...batch,
        imageCount: batch.itemCount,
        schedulerImages: new Map(),
        createdAtMs: this.nowMs,
        isInteractive: false,
        expiresAtMs: null,
        isPaused: false,
        completeByMs: null,
        approveAfter: null,
        isApproved: false,
        pausedItems: [],
        cancelledItems: [],
        needs: NO_NEEDS,
      },
      segmentCount,
      completed: null,
      segments: new Map(segments.entries()),
      measured: [],
      startedAtMs: null,
      isCancelled: false,
    })
  }

  addWorker(id: string): void {
    const running = this.held
      .filter(({ workerId }) => workerId === id)
      .map(({ batchId, shardId, attempt }) => ({ batchId, shardId, attempt }))
    this.send({ type: 'workerSeen', worker: create(WorkerSchema, { id, running }) })
  }

  /** @returns microseconds of the decision */
  end({ batchId, shardId }: Dispatch, deviceSeconds: number): number {
    const result = {
      ...noCounts(),
      kind: 'rendered' as const,
      workerId: null,
      rendered: 1,
      images: 1,
      deviceSeconds,
      schedulers: [{ scheduler: SCHEDULER, images: 1, steps: 20, seconds: deviceSeconds }],
    }
    return this.send({ type: 'shardEnded', batchId, shardId, result })
  }
}
