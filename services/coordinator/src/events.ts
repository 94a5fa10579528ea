import { isErrorCode } from '@darkroom/chassis'
import type { Logger, Metrics } from '@darkroom/chassis'
import { WorkerState } from '@darkroom/proto'
import type { DoneDocument } from '@darkroom/proto'
import { isOnHold } from './core/batch-life.ts'
import { heldItems, waitsForSomebody } from './core/hold-back.ts'
import { REDISPATCH_REASONS } from './core/messages.ts'
import type { FarmCommand, RedispatchReason } from './core/messages.ts'
import { QUARANTINE_REASONS } from './core/quarantine.ts'
import type { QuarantineReason } from './core/quarantine.ts'
import type { FarmState, ShardResult } from './core/state.ts'
import { waitingSeconds } from './core/quote.ts'
import { swapSeconds } from './core/swaps.ts'
import type { EffectKind } from './effects.ts'
import { isAtRisk } from './views.ts'

const SECONDS = [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900]
/** Tenants that have series of their own; the others are `other` together. */
const MAX_TENANT_LABELS = 100
/** Those that are on hold are told apart, whatever their state is beside that. */
const BATCH_STATES = ['queued', 'running', 'paused', 'cancelling', 'finalizing'] as const
const WORKER_STATES = {
  [WorkerState.STARTING]: 'starting',
  [WorkerState.IDLE]: 'idle',
  [WorkerState.RENDERING]: 'rendering',
  [WorkerState.DRAINING]: 'draining',
} as const

/** Why an attempt made no commit record. */
export interface AttemptFailure {
  readonly batchId: string
  readonly shardId: string
  readonly attempt: number
  /** Empty where no worker had the shard. */
  readonly workerId: string
  readonly code: string
  readonly message: string
}

/** Everything in a coordinator that is worth counting or telling. */
export function createEvents(metrics: Metrics, log: Logger) {
  const batches = metrics.gauge('darkroom_open_batches', 'Batches that are not ended, by state.', ['state'])
  const ended = metrics.counter('darkroom_ended_batches_total', 'Batches that ended, by how.', ['outcome'])
  const purged = metrics.counter(
    'darkroom_purged_batches_total',
    'Batches that were deleted since they ended long enough ago.',
  )
  const items = metrics.counter('darkroom_items_total', 'Items that ended, by how.', ['outcome'])
  const images = metrics.counter('darkroom_committed_images_total', 'Images in commit records.', ['scheduler'])
  const steps = metrics.counter('darkroom_committed_steps_total', 'Model calls that were made for committed images.', [
    'scheduler',
  ])
  const seconds = metrics.counter('darkroom_committed_device_seconds_total', 'Device seconds of committed images.', [
    'scheduler',
  ])
  const queue = metrics.gauge(
    'darkroom_queue_shards',
    'Open shards: planned and waiting, planned of batches that are paused, or dispatched.',
    ['state'],
  )
  const waiting = metrics.gauge(
    'darkroom_queue_items',
    'Accepted items that have not ended, of batches that are not paused.',
  )
  const paused = metrics.gauge('darkroom_paused_items', 'Accepted items that have not ended, of paused batches.')
  const waitingDeviceSeconds = metrics.gauge(
    'darkroom_queue_device_seconds',
    'Device seconds that are estimated to be left of batches that are not paused: what to scale workers by.',
  )
  const oldest = metrics.gauge(
    'darkroom_queue_oldest_age_seconds',
    'Age of the oldest batch that is neither ended nor paused.',
  )
  const late = metrics.gauge(
    'darkroom_late_batches',
    'Open batches that at their rate will not have ended when they are wanted.',
  )
  const workers = metrics.gauge('darkroom_workers', 'Workers attached to this coordinator, by state.', [
    'state',
    'pool',
  ])
  const losses = metrics.counter(
    'darkroom_lost_workers_total',
    'Workers that were lost with shards in their hands, other than by a drain.',
  )
  const stalls = metrics.counter(
    'darkroom_stalled_workers_total',
    'Workers that lived and made no progress, and lost their shards.',
  )
  const quarantined = metrics.gauge('darkroom_quarantined_workers', 'Workers that are given nothing, by why.', [
    'reason',
  ])
  const quarantines = metrics.counter('darkroom_quarantines_total', 'Workers put into quarantine, by why.', ['reason'])
  const hedges = metrics.counter(
    'darkroom_hedged_shards_total',
    'Shards that an idle worker renders too, since they take too long.',
  )
  const hedgedSeconds = metrics.gauge(
    'darkroom_hedged_device_seconds',
    'Device seconds that second attempts may have cost in vain, since this coordinator leads.',
  )
  const differing = metrics.counter(
    'darkroom_differing_results_total',
    'Shards of which two attempts made different pictures.',
  )
  const audits = metrics.counter(
    'darkroom_audited_shards_total',
    'Shards that were rendered again to compare, by what came of it.',
    ['outcome'],
  )
  const dispatches = metrics.counter('darkroom_dispatches_total', 'Shards put into the stream.')
  const swaps = metrics.counter(
    'darkroom_swaps_total',
    'Shards dispatched to workers that had to load their checkpoint for it.',
  )
  const meanSwap = metrics.gauge(
    'darkroom_mean_swap_seconds',
    'Seconds that workers take to load a checkpoint, on average: what a swap is taken to cost.',
  )
  const redispatches = metrics.counter('darkroom_redispatches_total', 'Shards dispatched again, by why.', ['reason'])
  const commits = metrics.counter('darkroom_commits_total', 'Commit records seen, by kind.', ['kind'])
  const lostRaces = metrics.counter(
    'darkroom_lost_commit_races_total',
    'Attempts that found another record in their place.',
  )
  const failures = metrics.counter('darkroom_failed_attempts_total', 'Attempts that made no commit record, by why.', [
    'code',
  ])
  const effectFailures = metrics.counter(
    'darkroom_effect_failures_total',
    'Effects of the coordinator that failed and were tried again, by what they do.',
    ['stage'],
  )
  const connected = metrics.gauge('darkroom_nats_connected', 'Whether NATS is connected.')
  const leader = metrics.gauge('darkroom_coordinator_leader', 'Whether this coordinator leads.')
  const planning = metrics.histogram('darkroom_planning_seconds', 'Seconds to plan one segment.', [], SECONDS)
  const finalizing = metrics.histogram(
    'darkroom_finalizing_seconds',
    "Seconds to write a batch's output files.",
    [],
    SECONDS,
  )
  const storeSeconds = metrics.histogram(
    'darkroom_store_request_seconds',
    'Seconds of object store requests with their retries.',
    ['op', 'outcome'],
    SECONDS,
  )
  const webhooks = metrics.counter(
    'darkroom_webhooks_total',
    'Ends of batches that were to be told, by what came of it.',
    ['outcome'],
  )
  const tenantImages = metrics.counter('darkroom_tenant_images_total', 'Images in commit records, by tenant.', [
    'tenant',
  ])
  const tenantSeconds = metrics.counter(
    'darkroom_tenant_device_seconds_total',
    'Device seconds of committed images, by tenant.',
    ['tenant'],
  )
  const tenantItems = metrics.gauge(
    'darkroom_tenant_queue_items',
    'Accepted items that have not ended, of batches that are not paused, by tenant.',
    ['tenant'],
  )
  const price = metrics.gauge(
    'darkroom_device_second_price',
    "What a second of a device costs, in the operator's currency; 0 where no price is set.",
  )
  const tenants = new Set<string>()
  const tenantLabel = (tenant: string): string => {
    if (tenants.size < MAX_TENANT_LABELS) tenants.add(tenant)
    return tenants.has(tenant) ? tenant : 'other'
  }
  for (const reason of QUARANTINE_REASONS) quarantines.inc({ reason }, 0)
  for (const reason of REDISPATCH_REASONS) redispatches.inc({ reason }, 0)
  for (const kind of ['rendered', 'cancelled', 'failed', 'split'] as const) commits.inc({ kind }, 0)

  return {
    /** Gauges are read off the state at each scrape; a standby, with none, has nothing. */
    observe(farm: FarmState | null, nowMs: number): void {
      batches.reset()
      workers.reset()
      tenantItems.reset()
      for (const state of BATCH_STATES) batches.set({ state }, 0)
      const shards = { planned: 0, paused: 0, dispatched: farm?.outstanding ?? 0 }
      const open = { waiting: 0, paused: 0 }
      let first = nowMs
      let atRisk = 0
      for (const batch of farm?.batches.values() ?? []) {
        atRisk += Number(isAtRisk(batch, nowMs))
        const left = batch.itemCount - batch.rendered - batch.failed - batch.cancelled
        if (isOnHold(batch) || waitsForSomebody(batch)) {
          batches.inc({ state: 'paused' })
          shards.paused += batch.readyShards
          open.paused += left
          continue
        }
        batches.inc({ state: batch.state })
        shards.planned += batch.readyShards
        const held = heldItems(batch)
        open.waiting += left - held
        open.paused += held
        first = Math.min(first, batch.createdAtMs)
        tenantItems.inc({ tenant: tenantLabel(batch.tenant) }, left - held)
      }
      for (const { snapshot, detachedAtMs } of farm?.workers.values() ?? []) {
        const state = WORKER_STATES[snapshot.state as keyof typeof WORKER_STATES] ?? 'unknown'
        workers.inc({
          state: detachedAtMs === null ? state : 'detached',
          pool: snapshot.pool,
        })
      }
      for (const [state, count] of Object.entries(shards)) queue.set({ state }, count)
      waiting.set(open.waiting)
      paused.set(open.paused)
      waitingDeviceSeconds.set(farm === null ? 0 : waitingSeconds(farm, (batch) => !isOnHold(batch)))
      late.set(atRisk)
      quarantined.reset()
      for (const reason of QUARANTINE_REASONS) quarantined.set({ reason }, 0)
      for (const { reason } of farm?.suspects.quarantined.values() ?? []) quarantined.inc({ reason })
      hedgedSeconds.set(farm?.spent.hedgedSeconds ?? 0)
      if (farm !== null) meanSwap.set(swapSeconds(farm.swaps))
      oldest.set((nowMs - first) / 1000)
    },
    natsConnected(isConnected: boolean): void {
      connected.set(isConnected ? 1 : 0)
    },
    priced(perDeviceSecond: number): void {
      price.set(perDeviceSecond)
    },
    leading(isLeader: boolean): void {
      leader.set(isLeader ? 1 : 0)
    },
    batchOpened(batchId: string, itemCount: number): void {
      log.info({ batchId, items: itemCount }, 'batch opened')
    },
    batchEnded(
      batchId: string,
      { state: outcome, items: counts }: DoneDocument,
      unplannedItems: number,
      tookSeconds: number,
    ): void {
      log.info({ batchId, outcome, ...counts, seconds: tookSeconds }, 'batch ended')
      ended.inc({ outcome })
      items.inc({ outcome: 'cancelled' }, unplannedItems)
      finalizing.observe(tookSeconds)
    },
    batchPurged(batchId: string, objects: number): void {
      log.info({ batchId, objects }, 'batch deleted: it ended long enough ago')
      purged.inc()
    },
    segmentPlanned(batchId: string, segment: number, shards: number, tookSeconds: number): void {
      log.info({ batchId, segment, shards }, 'segment planned')
      planning.observe(tookSeconds)
    },
    shardDispatched(command: Extract<FarmCommand, { type: 'dispatch' }>): void {
      log.debug({ batchId: command.batchId, shardId: command.shardId, attempt: command.attempt }, 'shard dispatched')
      dispatches.inc()
      if (command.isSwap) swaps.inc()
    },
    redispatched(reason: RedispatchReason): void {
      log.warn({ reason }, 'a shard is dispatched again')
      redispatches.inc({ reason })
    },
    shardEnded(batchId: string, tenant: string, shardId: string, result: ShardResult): void {
      log.debug({ batchId, shardId, kind: result.kind }, 'shard ended')
      commits.inc({ kind: result.kind })
      for (const outcome of ['rendered', 'failed', 'cancelled'] as const) items.inc({ outcome }, result[outcome])
      for (const tally of result.schedulers) {
        images.inc({ scheduler: tally.scheduler }, tally.images)
        steps.inc({ scheduler: tally.scheduler }, tally.steps)
        seconds.inc({ scheduler: tally.scheduler }, tally.seconds)
        tenantImages.inc({ tenant: tenantLabel(tenant) }, tally.images)
        tenantSeconds.inc({ tenant: tenantLabel(tenant) }, tally.seconds)
      }
    },
    attemptFailed({ message, ...failure }: AttemptFailure): void {
      log.warn({ ...failure, reason: message }, 'an attempt failed')
      failures.inc({ code: isErrorCode(failure.code) ? failure.code : 'INTERNAL' })
    },
    raceLost(): void {
      lostRaces.inc()
    },
    resultsDiffered(found: {
      readonly batchId: string
      readonly shardId: string
      readonly workerId: string
      readonly otherId: string
      readonly items: readonly number[]
    }): void {
      log.error(found, 'two workers have made different pictures of the same items')
      differing.inc()
    },
    audited(outcome: 'same' | 'different' | 'failed'): void {
      audits.inc({ outcome })
    },
    shardHedged({ batchId, shardId, workerId }: Extract<FarmCommand, { type: 'hedged' }>): void {
      log.info({ batchId, shardId, workerId }, 'a shard that takes long is rendered by another worker too')
      hedges.inc()
    },
    queueLost(created: readonly string[]): void {
      log.warn({ created }, 'nats lost its storage: what was outstanding is dispatched again')
    },
    workerAttached(workerId: string): void {
      log.info({ workerId }, 'worker attached')
    },
    workerDetached(workerId: string): void {
      log.info({ workerId }, 'worker detached')
    },
    workerLost(workerId: string): void {
      log.warn({ workerId }, 'worker lost with shards in its hands')
      losses.inc()
    },
    workerStalled(workerId: string): void {
      log.warn({ workerId }, 'worker made no progress and lost its shards')
      stalls.inc()
    },
    webhookDelivered(batchId: string): void {
      log.info({ batchId }, 'the end of a batch was told')
      webhooks.inc({ outcome: 'delivered' })
    },
    webhookFailed(batchId: string, reason: string): void {
      log.info({ batchId, reason }, 'the end of a batch could not be told and is tried again')
      webhooks.inc({ outcome: 'failed' })
    },
    webhookGivenUp(batchId: string, reason: string): void {
      log.warn({ batchId, reason }, 'the end of a batch could not be told for a day: given up')
      webhooks.inc({ outcome: 'given_up' })
    },
    workerQuarantined(workerId: string, reason: QuarantineReason): void {
      log.warn({ workerId, reason }, 'worker is given nothing for a while')
      quarantines.inc({ reason })
    },
    workerReleased(workerId: string): void {
      log.info({ workerId }, 'worker is given work again')
    },
    effectFailed(stage: EffectKind | 'recovering' | 'purging', err: unknown): void {
      log.warn({ stage, err }, 'an effect failed and is tried again')
      effectFailures.inc({ stage })
    },
    storeRequested(op: string, outcome: string, tookSeconds: number): void {
      storeSeconds.observe({ op, outcome }, tookSeconds)
    },
  }
}

export type CoordinatorEvents = ReturnType<typeof createEvents>
