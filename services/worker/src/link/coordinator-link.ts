import type { MessageInitShape } from '@bufbuild/protobuf'
import { createGrpcClient, DarkroomError } from '@darkroom/chassis'
import type { ClientTls } from '@darkroom/chassis'
import { WorkerLinkService } from '@darkroom/proto'
import type { AttachRequestSchema, CancelItems, CancelShard, Worker } from '@darkroom/proto'
import { setTimeout as delay } from 'node:timers/promises'
import type { WorkerEvents } from '../events.ts'
import type { PreviewOutbox } from './preview-outbox.ts'

export interface LinkOptions {
  readonly coordinators: readonly string[]
  readonly tls?: ClientTls | null
  /** The worker as it is now. */
  readonly describe: () => Worker
  readonly previews: PreviewOutbox
  /** Told how long a worker of the farm works, on average, until it is lost. */
  readonly onLossRate: (meanSecondsBetweenLosses: number) => void
  readonly onCancel: (order: CancelShard) => void
  readonly onCancelItems: (order: CancelItems) => void
  readonly onDrain: () => void
  readonly events: WorkerEvents
}

const FIRST_HEARTBEAT_MS = 1_000
const RECONNECT_MIN_MS = 200
/** With its jitter it is shorter than a new leader waits for those who hold shards. */
const RECONNECT_MAX_MS = 1_000
/** To say the last word in. */
const FAREWELL_MS = 500

/** The worker's stream to the leading coordinator, opened again for ever with jitter. Rendering goes on without it. */
export class CoordinatorLink implements AsyncDisposable {
  readonly #options: LinkOptions
  readonly #leave = new AbortController()
  readonly #stop = new AbortController()
  /** Aborts when there is something to report at once. */
  readonly #news = { controller: new AbortController() }
  readonly #loop: Promise<void>

  constructor(options: LinkOptions) {
    this.#options = options
    this.#loop = this.#run()
  }

  /** Reports without waiting for the next heartbeat: should the worker die of what it takes, it is known what that was. */
  reportNow(): void {
    this.#news.controller.abort()
  }

  /** Reports once more, so that a worker that has handed everything back is not taken for lost. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#leave.abort()
    const timer = setTimeout(() => this.#stop.abort(), FAREWELL_MS)
    await this.#loop
    clearTimeout(timer)
  }

  async #run(): Promise<void> {
    const { coordinators, tls = null, events } = this.#options
    const signal = this.#leave.signal
    using client = createGrpcClient(WorkerLinkService, coordinators, { defaultTimeoutMs: 5_000, tls })
    let waitMs = RECONNECT_MIN_MS
    while (!signal.aborted) {
      try {
        await this.#attach(client, () => {
          waitMs = RECONNECT_MIN_MS
        })
        throw new DarkroomError('COORDINATOR_UNAVAILABLE', 'the coordinator closed the stream')
      } catch (err) {
        if (signal.aborted) return
        events.coordinatorLost(err)
        await delay(waitMs * (0.5 + Math.random()), undefined, { signal }).catch(() => {})
        waitMs = Math.min(waitMs * 2, RECONNECT_MAX_MS)
      }
    }
  }

  async #attach(
    client: ReturnType<typeof createGrpcClient<typeof WorkerLinkService>>,
    onAttached: () => void,
  ): Promise<void> {
    const { describe, previews, onLossRate, onCancel, onCancelItems, onDrain, events } = this.#options
    const news = this.#news
    const ended = new AbortController()
    const signal = AbortSignal.any([this.#leave.signal, this.#stop.signal, ended.signal])
    using attached = new DisposableStack()
    let isAttached = false
    let heartbeatMs = FIRST_HEARTBEAT_MS
    async function* messages(): AsyncGenerator<MessageInitShape<typeof AttachRequestSchema>> {
      let dueMs = 0
      while (!signal.aborted) {
        // A heartbeat that is due goes before any preview.
        const nowMs = performance.now()
        const isDue = nowMs >= dueMs || news.controller.signal.aborted
        const preview = isDue ? null : previews.take()
        if (isDue) {
          news.controller = new AbortController()
          dueMs = nowMs + heartbeatMs
          yield { worker: describe() }
        } else if (preview !== null) {
          events.previewSent()
          yield { preview }
        } else await previews.wait(dueMs - nowMs, AbortSignal.any([signal, news.controller.signal]))
      }
      if (!ended.signal.aborted) yield { worker: describe() }
    }
    try {
      // Each coordinator that is asked gets reports of its own from the first on.
      const reports = { [Symbol.asyncIterator]: messages }
      for await (const { order } of client.attach(reports, { signal: this.#stop.signal })) {
        if (order.case === 'welcome') {
          heartbeatMs = order.value.heartbeatIntervalMs
          if (order.value.meanSecondsBetweenLosses > 0) onLossRate(order.value.meanSecondsBetweenLosses)
          if (isAttached) continue
          isAttached = true
          attached.use(previews.open())
          onAttached()
          events.coordinatorAttached()
        } else if (order.case === 'cancelShard') onCancel(order.value)
        else if (order.case === 'cancelItems') onCancelItems(order.value)
        else if (order.case === 'drain') onDrain()
      }
    } finally {
      ended.abort()
    }
  }
}
