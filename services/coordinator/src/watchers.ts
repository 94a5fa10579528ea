import type { Preview } from '@darkroom/proto'
import { RecentPreviews } from './recent-previews.ts'

const MIN_INTERVAL_MS = 100
/** Previews that wait for one watcher: more images than that are not looked at while they are rendered. */
const PREVIEWS_WAITING = 16

interface Watcher {
  readonly wake: () => void
  /** The newest of each image, the longest waiting first. */
  readonly previews: Map<string, Preview>
}

/** Wakes whoever watches a batch, at most ten times a second each. */
export class Watchers {
  readonly #watchers = new Map<string, Set<Watcher>>()
  readonly #recent = new RecentPreviews()

  changed(batchId: string): void {
    for (const { wake } of this.#watchers.get(batchId) ?? []) wake()
  }

  allChanged(): void {
    for (const batchId of this.#watchers.keys()) this.changed(batchId)
  }

  /**
   * Shows a preview to those who watch its batch now; one that they are too slow for is never seen. While its shard `isOpen`,
   * those who come later are shown it first.
   */
  previewed(preview: Preview, isOpen: boolean): void {
    if (isOpen) this.#recent.keep(preview)
    const image = imageOf(preview)
    for (const { previews, wake } of this.#watchers.get(preview.batchId) ?? []) {
      previews.set(image, preview)
      if (previews.size > PREVIEWS_WAITING) previews.delete(previews.keys().next().value!)
      wake()
    }
  }

  shardEnded(batchId: string, shardId: string): void {
    this.#recent.dropShard(batchId, shardId)
  }

  /** Another coordinator leads: it is sent the previews from now on. */
  leadershipLost(): void {
    this.#recent.clear()
    this.allChanged()
  }

  /** Yields at once, then after each change or preview, until the signal: the previews since the last time, at first those that are kept. Changes in between are one. */
  async *watch(batchId: string, signal: AbortSignal): AsyncGenerator<readonly Preview[]> {
    let isWoken = true
    let resolve = (): void => {}
    const wake = (): void => {
      isWoken = true
      resolve()
    }
    const recent = this.#recent.ofBatch(batchId).map((preview) => [imageOf(preview), preview] as const)
    const watcher: Watcher = { wake, previews: new Map(recent) }
    const set = this.#watchers.get(batchId) ?? new Set()
    this.#watchers.set(batchId, set.add(watcher))
    signal.addEventListener('abort', wake)
    try {
      while (!signal.aborted) {
        if (!isWoken) await new Promise<void>((next) => (resolve = next))
        if (signal.aborted) return
        isWoken = false
        const previews = [...watcher.previews.values()]
        watcher.previews.clear()
        yield previews
        await new Promise((next) => setTimeout(next, MIN_INTERVAL_MS))
      }
    } finally {
      signal.removeEventListener('abort', wake)
      set.delete(watcher)
      if (set.size === 0) this.#watchers.delete(batchId)
    }
  }
}

function imageOf({ item, image }: Preview): string {
  return `${item}/${image}`
}
