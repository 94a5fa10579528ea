import { formatItemRanges, includesItem, SEGMENT_ITEMS } from '@darkroom/proto'
import { approvalOf, awaitsApproval } from './approval.ts'
import { isPausedIn, pausedIn } from './hold-back.ts'
import { meets } from './needs.ts'
import type { Needs, Offer } from './needs.ts'
import type { FarmState, OpenBatch, OpenShard } from './state.ts'
import { isAtLimit, isServedBefore } from './tenants.ts'
import type { Tenant } from './tenants.ts'

/** Why something of a batch is where it is, and what would get it on; no remedy where it is on its way. */
export interface Explanation {
  readonly reason:
    | 'starting'
    | 'cancelling'
    | 'paused'
    | 'awaiting_approval'
    | 'item_paused'
    | 'item_cancelled'
    | 'no_worker'
    | 'no_worker_fits'
    | 'tenant_at_cap'
    | 'resting'
    | 'behind_tenants'
    | 'behind_priority'
    | 'queued'
    | 'unplanned'
    | 'dispatched'
    | 'running'
    | 'ending'
  readonly message: string
  readonly remedy: string
}

/** Of an item whose segment is not planned yet. */
export function explainUnplanned(farm: FarmState, batch: OpenBatch, item: number, nowMs: number): Explanation {
  const cancelled = explainCancelled(batch, item)
  if (cancelled !== null) return cancelled
  const segment = Math.floor(item / SEGMENT_ITEMS)
  if (awaitsApproval(batch, segment * SEGMENT_ITEMS)) return explainApproval(farm, batch, nowMs)
  const ahead = segment - batch.nextSegment
  const message = `it is planned once a worker is free for it: ${batch.readyShards} shards and ${ahead} unplanned segments of its batch are before it`
  return explainWaiting(farm, batch, nowMs) ?? { reason: 'unplanned', message, remedy: '' }
}

/** Of an item in an open shard. */
export function explainPlanned(
  farm: FarmState,
  batch: OpenBatch,
  shard: OpenShard,
  item: number,
  nowMs: number,
): Explanation {
  return explainCancelled(batch, item) ?? explainShard(farm, batch, shard, nowMs)
}

function explainCancelled({ cancelledItems }: OpenBatch, item: number): Explanation | null {
  if (!includesItem(cancelledItems, item)) return null
  return { reason: 'item_cancelled', message: 'it was cancelled, and ends with its shard', remedy: '' }
}

function explainShard(farm: FarmState, batch: OpenBatch, shard: OpenShard, nowMs: number): Explanation {
  const { state, failures } = shard
  const tried = failures === 0 ? '' : ` after ${failures} failed attempts, on ${shard.failedOn.join(', ')}`
  switch (state) {
    case 'held':
      return isPausedIn(batch, shard.items) ? explainPaused(batch, shard) : explainApproval(farm, batch, nowMs)
    case 'ending':
      return { reason: 'ending', message: 'its record is being written', remedy: '' }
    case 'resting': {
      const seconds = Math.max(0, (shard.restsUntilMs - nowMs) / 1000).toFixed(0)
      return { reason: 'resting', message: `it is tried again in ${seconds} s${tried}`, remedy: '' }
    }
    case 'planned':
      return explainWaiting(farm, batch, nowMs) ?? explainQueued(farm, batch, shard, tried)
    default:
      return explainDispatched(farm, shard, tried)
  }
}

function explainPaused(batch: OpenBatch, { items }: OpenShard): Explanation {
  const paused = formatItemRanges(pausedIn(batch, items))
  return {
    reason: 'item_paused',
    message: `its shard is rendered as one and has paused items: ${paused}`,
    remedy: `resume them: darkroom resume ${batch.id} --items ${paused}`,
  }
}

function explainApproval(farm: FarmState, batch: OpenBatch, nowMs: number): Explanation {
  const isDone = approvalOf(batch) === 'waiting'
  const message = `the first ${batch.approveAfter} items of its batch ${isDone ? 'are there' : 'are rendered first'}; the others wait for a yes`
  const remedy = `say yes: darkroom approve ${batch.id}`
  return (isDone ? null : explainWaiting(farm, batch, nowMs)) ?? { reason: 'awaiting_approval', message, remedy }
}

function explainDispatched(
  farm: FarmState,
  { workerId, assignedTo, hedge, id, batchId }: OpenShard,
  tried: string,
): Explanation {
  if (workerId === null) {
    const message = `its shard is on the way to worker ${assignedTo}, which works on what it was given before${tried}`
    return { reason: 'dispatched', message, remedy: '' }
  }
  const { running = [] } = farm.workers.get(workerId)?.snapshot ?? {}
  const at = running.find((one) => one.shardId === id && one.batchId === batchId)
  const steps = at === undefined || at.stepsTotal === 0 ? '' : `, ${at.stepsDone} of ${at.stepsTotal} steps done`
  const both = hedge === null ? '' : `, and worker ${hedge.workerId} too, as it takes long`
  return { reason: 'running', message: `worker ${workerId} has its shard${steps}${both}${tried}`, remedy: '' }
}

/** What keeps all of a batch from starting; null where nothing does. */
function explainWaiting(farm: FarmState, batch: OpenBatch, nowMs: number): Explanation | null {
  if (nowMs < farm.dispatchFromMs)
    return {
      reason: 'starting',
      message: 'the coordinator has just begun to lead and asks workers what they hold',
      remedy: '',
    }
  if (batch.state === 'cancelling' || batch.state === 'finalizing')
    return { reason: 'cancelling', message: 'its batch is being ended', remedy: '' }
  if (batch.isPaused)
    return { reason: 'paused', message: 'its batch is paused', remedy: `resume it: darkroom resume ${batch.id}` }
  return explainWorkers(farm, batch) ?? explainTenant(farm, batch)
}

function explainWorkers(farm: FarmState, { needs }: OpenBatch): Explanation | null {
  const workers = [...farm.workers.values()]
  const fitting = workers.filter(({ profile }) => meets(profile.offer, needs))
  if (fitting.some(({ id }) => farm.taking.has(id))) return null
  const { quarantined } = farm.suspects
  if (workers.length === 0)
    return { reason: 'no_worker', message: 'no worker is attached', remedy: 'start one: darkroom workers lists them' }
  if (fitting.length > 0) {
    const kept = fitting.filter(({ id }) => quarantined.has(id)).length
    const message = `of ${fitting.length} workers that fit, ${kept} are in quarantine and the others start or drain`
    return { reason: 'no_worker_fits', message, remedy: 'darkroom workers says why; start another worker' }
  }
  const lacking = lacks(
    needs,
    workers.map(({ profile }) => profile.offer),
  )
  const message = `none of ${workers.length} workers has what its batch needs: ${lacking}`
  return { reason: 'no_worker_fits', message, remedy: `start a worker with ${lacking}` }
}

/** What no worker has, or, where each is there but never together, all of it. */
function lacks(needs: Needs, offers: readonly Offer[]): string {
  const wants: (readonly [text: string, needs: Needs])[] = [
    ...(needs.deviceKind === null
      ? []
      : [[`device ${needs.deviceKind}`, { ...needs, memoryBytes: 0, tags: [] }] as const]),
    ...(needs.memoryBytes === 0
      ? []
      : [
          [
            `${(needs.memoryBytes / 2 ** 30).toFixed(0)} GiB of memory`,
            { ...needs, deviceKind: null, tags: [] },
          ] as const,
        ]),
    ...needs.tags.map((tag) => [`tag ${tag}`, { deviceKind: null, memoryBytes: 0, tags: [tag] }] as const),
  ]
  const missing = wants.filter(([, want]) => !offers.some((offer) => meets(offer, want)))
  return (missing.length > 0 ? missing : wants).map(([text]) => text).join(', ')
}

function explainTenant(farm: FarmState, { id, owner, priority }: OpenBatch): Explanation | null {
  const { terms, running, name, backlogs } = owner
  if (isAtLimit(owner)) {
    const message = `tenant ${name} has ${running} shards running, which is all that it may (${terms.cap} and ${terms.burst} in a burst)`
    return {
      reason: 'tenant_at_cap',
      message,
      remedy: 'it starts when one of them ends; a higher cap lets it start now',
    }
  }
  const higher = [...backlogs]
    .flatMap(({ byPriority }) => [...byPriority.values()])
    .filter((other) => other.priority > priority && other.ready > 0)
  if (higher.length > 0) {
    const shards = higher.reduce((sum, { ready }) => sum + ready, 0)
    const message = `${shards} shards of its tenant's batches with a higher priority go first`
    return { reason: 'behind_priority', message, remedy: `raise its priority: darkroom priority ${id} NUMBER` }
  }
  const before = [...farm.tenants.values()].filter(
    (other) => hasTurn(other) && other !== owner && isServedBefore(other, owner),
  )
  if (before.length === 0) return null
  const message = `${before.length} other tenants have had less for their weight and are next`
  return { reason: 'behind_tenants', message, remedy: 'it starts in its turn; a higher weight brings it sooner' }
}

/** Whether something of it waits that may start. */
function hasTurn(tenant: Tenant): boolean {
  return !isAtLimit(tenant) && tenant.backlogs.values().some(({ next }) => next.size > 0)
}

function explainQueued(farm: FarmState, batch: OpenBatch, shard: OpenShard, tried: string): Explanation {
  const queue = batch.ready.get(shard.checkpoint)!
  const before = queue.shards.indexOf(shard)
  const [name] = shard.checkpoint.split('@')
  const message = `it waits for a worker: ${before} shards of its batch that want ${name} are before it${tried}`
  const idle = [...farm.taking].filter((id) => {
    const { assigned, profile } = farm.workers.get(id)!
    return assigned.size === 0 && meets(profile.offer, batch.needs)
  })
  if (idle.length === 0) return { reason: 'queued', message, remedy: '' }
  const leaving = `${idle.length} idle workers leave it to busy ones, which will be done with it sooner`
  return { reason: 'queued', message: `${message}; ${leaving}`, remedy: '' }
}
