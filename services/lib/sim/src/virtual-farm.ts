import { keys, SEGMENT_ITEMS } from '@darkroom/proto'
import type { BatchDocument } from '@darkroom/proto'
import { itemLine } from './item.ts'
import type { ItemWork } from './item.ts'
import { Random } from './random.ts'
import { VirtualBucket } from './virtual-bucket.ts'
import { VirtualCoordinator } from './virtual-coordinator.ts'
import type { CoordinatorSettings, Reaction } from './virtual-coordinator.ts'
import type { WorkerTraits } from './virtual-device.ts'
import { VirtualNats, VirtualNatsServer } from './virtual-nats.ts'
import { VirtualProcess } from './virtual-process.ts'
import { fairStoreWeather, VirtualStore } from './virtual-store.ts'
import { VirtualTime } from './virtual-time.ts'
import { VirtualWorker } from './virtual-worker.ts'
import type { WorkerEvents } from './virtual-worker.ts'

export interface FarmEvents extends WorkerEvents {
  changed(coordinator: VirtualCoordinator, batchId: string): void
  errorSeen(err: unknown): void
  reacted(reaction: Reaction): void
}

/** A whole farm on one clock and one generator of random numbers, with whatever is to be done to it from outside. */
export class VirtualFarm {
  readonly time = new VirtualTime()
  readonly random: Random
  readonly bucket = new VirtualBucket()
  readonly natsServer: VirtualNatsServer
  readonly storeWeather = fairStoreWeather()
  readonly workers = new Map<string, VirtualWorker>()
  coordinators: VirtualCoordinator[] = []
  readonly #settings: CoordinatorSettings
  readonly #events: FarmEvents
  #names = 0

  constructor(seed: number, settings: CoordinatorSettings, events: FarmEvents) {
    this.random = new Random(seed)
    this.natsServer = new VirtualNatsServer(this.time)
    this.#settings = settings
    this.#events = events
  }

  addCoordinator(): VirtualCoordinator {
    const { process, store, nats } = this.#newProcess(this.#newName('coordinator'))
    const coordinator = new VirtualCoordinator({
      process,
      store,
      nats,
      settings: this.#settings,
      onChange: (changed, batchId) => this.#events.changed(changed, batchId),
      onError: (err) => this.#events.errorSeen(err),
      onReaction: (reaction) => this.#events.reacted(reaction),
    })
    this.coordinators.push(coordinator)
    return coordinator
  }

  /** @param name of one that is started anew; by default its own */
  addWorker(traits: WorkerTraits, name = this.#newName('worker')): VirtualWorker {
    const { process, store, nats } = this.#newProcess(name)
    const worker = new VirtualWorker(process.name, {
      process,
      store,
      nats,
      traits,
      random: this.random,
      heartbeatMs: this.#settings.heartbeatIntervalMs,
      attach: (attaching, orders) => this.pickLeader()?.attach(attaching, orders) ?? null,
      events: this.#events,
    })
    this.workers.set(worker.id, worker)
    return worker
  }

  /** Any of those that lead, or believe so. */
  pickLeader(): VirtualCoordinator | null {
    const leaders = this.coordinators.filter(({ term }) => term !== null)
    return leaders.length > 1 ? this.random.pick(leaders) : (leaders[0] ?? null)
  }

  /** As the gateway accepts a batch: its items first, batch.json last. */
  accept(
    id: string,
    items: readonly ItemWork[],
    { isInteractive = false, approveAfter }: { isInteractive?: boolean; approveAfter?: number } = {},
  ): void {
    const lines = items.map((item, index) => `${JSON.stringify(itemLine(index, item))}\n`)
    const segmentOffsets: number[] = []
    let bytes = 0
    for (const [index, line] of lines.entries()) {
      if (index % SEGMENT_ITEMS === 0) segmentOffsets.push(bytes)
      bytes += Buffer.byteLength(line)
    }
    const key = keys.inputPart(id, 0)
    const batch: BatchDocument = {
      id,
      tenant: 'default',
      createdAt: new Date(this.time.nowMs).toISOString(),
      itemCount: items.length,
      imageCount: items.length,
      checkpoints: [...new Set(items.map(({ checkpoint }) => checkpoint))],
      parts: [{ key, firstItem: 0, itemCount: items.length, bytes, sha256: '', segmentOffsets }],
      metadata: {},
      traceparent: '',
      ...(isInteractive && { isInteractive }),
      ...(approveAfter !== undefined && { approveAfter }),
    }
    this.bucket.put(key, lines.join(''))
    this.bucket.put(keys.batch(id), JSON.stringify(batch))
  }

  isDone(batchId: string): boolean {
    return this.bucket.get(keys.done(batchId)) !== null
  }

  #newName(role: string): string {
    return `${role}-${this.#names++}`
  }

  #newProcess(name: string): { process: VirtualProcess; store: VirtualStore; nats: VirtualNats } {
    const process = new VirtualProcess(this.time, name)
    const store = new VirtualStore(this.bucket, process, this.storeWeather, this.random)
    return { process, store, nats: new VirtualNats(this.natsServer, process, this.random) }
  }
}
