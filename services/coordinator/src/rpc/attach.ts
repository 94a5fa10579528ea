import { DarkroomError } from '@darkroom/chassis'
import type { ServiceImpl } from '@darkroom/chassis'
import type { Worker, WorkerLinkService } from '@darkroom/proto'
import { findShard } from '../core/state.ts'
import type { RpcContext } from './context.ts'

/** A worker's stream: its state and previews up, orders down. When it breaks, what the worker held is dispatched again. */
export function attach({
  leadership,
  links,
  watchers,
  events,
  pools,
}: RpcContext): ServiceImpl<typeof WorkerLinkService>['attach'] {
  return async function* (requests, { signal }) {
    const farm = leadership.farmNow() ?? (await leadership.farm())
    const heartbeats = requests[Symbol.asyncIterator]()
    const first = await heartbeats.next()
    const worker = first.done === true ? undefined : first.value.worker
    if (worker === undefined)
      throw new DarkroomError('INVALID_REQUEST', 'the first message of a worker names the worker')
    if (!pools.includes(worker.pool)) throw unknownPool(worker, pools)
    const workerId = worker.id
    const outbox = links.open(workerId)
    events.workerAttached(workerId)
    farm.handle({ type: 'workerSeen', worker })
    outbox.send({ case: 'welcome', value: farm.welcome() })
    const stop = (): void => outbox.close()
    signal.addEventListener('abort', stop)
    void (async () => {
      try {
        for (let next = await heartbeats.next(); next.done !== true; next = await heartbeats.next()) {
          const { worker: now, preview } = next.value
          if (now !== undefined) farm.handle({ type: 'workerSeen', worker: now })
          if (preview !== undefined)
            watchers.previewed(preview, findShard(farm.state, preview.batchId, preview.shardId) !== null)
        }
      } catch {
        // The stream broke: the worker is gone, which is what the end of the outbox says below.
      }
      outbox.close()
    })()
    try {
      yield* outbox
    } finally {
      signal.removeEventListener('abort', stop)
      events.workerDetached(workerId)
      if (links.close(workerId, outbox)) farm.handle({ type: 'workerDetached', workerId })
    }
  }
}

function unknownPool({ id, pool }: Worker, pools: readonly string[]): DarkroomError {
  const remedy = 'name the pool in DARKROOM_COORDINATOR_POOLS, or one of these in DARKROOM_WORKER_POOL'
  return new DarkroomError(
    'INVALID_REQUEST',
    `worker ${id} is of pool '${pool}', work is for ${pools.join(', ')}: ${remedy}`,
  )
}
