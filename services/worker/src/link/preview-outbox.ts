import { create } from '@bufbuild/protobuf'
import { PreviewSchema } from '@darkroom/proto'
import type { Preview } from '@darkroom/proto'
import type { Preview as EnginePreview } from '../engine/messages.ts'
import { encodePreview } from './encode-preview.ts'

/** An image by its place: index of the item in its batch, and of the image in its item. */
export interface ImageId {
  readonly batchId: string
  readonly item: number
  readonly image: number
}

/** A preview as the engine hands it over. */
export interface OfferedPreview extends ImageId {
  readonly shardId: string
  readonly preview: EnginePreview
}

/**
 * Previews on their way to the coordinator. Never more than two of an image that is being rendered, one to be encoded and one
 * to be sent: a newer one takes its place. While no coordinator listens there are none.
 */
export class PreviewOutbox {
  /** The longest waiting first, as in `#encoded`. */
  readonly #offered = new Map<string, OfferedPreview>()
  readonly #encoded = new Map<string, Preview>()
  readonly #waiting = new Set<() => void>()
  #isOpen = false
  #isEncoding = false
  /** Key of what is being encoded, as long as it is wanted. */
  #current: string | null = null

  /** Previews are taken until what it returns is disposed. */
  open(): Disposable {
    this.#isOpen = true
    return {
      [Symbol.dispose]: () => {
        this.#isOpen = false
        this.#current = null
        this.#offered.clear()
        this.#encoded.clear()
      },
    }
  }

  offer(offered: OfferedPreview): void {
    if (!this.#isOpen) return
    this.#offered.set(keyOf(offered), offered)
    if (!this.#isEncoding) void this.#encode()
  }

  /** Drops what is left of an image that is done. */
  forget(id: ImageId): void {
    const key = keyOf(id)
    this.#offered.delete(key)
    this.#encoded.delete(key)
    if (this.#current === key) this.#current = null
  }

  take(): Preview | null {
    const next = this.#encoded.entries().next().value
    if (next === undefined) return null
    const [key, preview] = next
    this.#encoded.delete(key)
    return preview
  }

  /** Waits until there is one to take, but no longer than `timeoutMs`. */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#encoded.size > 0) return
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', wake)
        this.#waiting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, timeoutMs)
      signal.addEventListener('abort', wake)
      this.#waiting.add(wake)
    })
  }

  /** One after the other: pictures that are finished are encoded at the same time, and come first. */
  async #encode(): Promise<void> {
    this.#isEncoding = true
    for (const [key, { batchId, shardId, item, image, preview }] of this.#offered) {
      this.#offered.delete(key)
      this.#current = key
      // What cannot be encoded is not shown: a preview never fails its picture.
      const jpeg = await encodePreview(preview).catch(() => null)
      if (jpeg === null || this.#current !== key) continue
      const { step, steps } = preview
      this.#encoded.set(key, create(PreviewSchema, { batchId, shardId, item, image, step, steps, jpeg }))
      for (const wake of this.#waiting) wake()
    }
    this.#isEncoding = false
    this.#current = null
  }
}

function keyOf({ batchId, item, image }: ImageId): string {
  return `${batchId}/${item}/${image}`
}
