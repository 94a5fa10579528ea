import type { ObjectStore } from '@darkroom/chassis'
import type { Batches } from '../batches.ts'
import type { CoordinatorEvents } from '../events.ts'
import type { Leadership } from '../leadership.ts'
import type { Watchers } from '../watchers.ts'
import type { WorkerLinks } from '../worker-links.ts'

/** What the RPCs act on. */
export interface RpcContext {
  readonly leadership: Leadership
  readonly batches: Batches
  readonly watchers: Watchers
  readonly links: WorkerLinks
  readonly store: ObjectStore
  readonly events: CoordinatorEvents
  /** Whose workers are given work. */
  readonly pools: readonly string[]
  /** 0: none is set. */
  readonly pricePerDeviceSecond: number
}
