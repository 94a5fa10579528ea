import { create } from '@bufbuild/protobuf'
import { CancelItemsSchema, rangesToMessages } from '@darkroom/proto'
import type { AttachResponse, ItemRanges } from '@darkroom/proto'

type Order = AttachResponse['order']

/** The open streams to workers, by worker, as far as they are written to. */
export class WorkerLinks {
  readonly #outboxes = new Map<string, Outbox>()

  /** A worker that attaches twice keeps its newest stream. */
  open(workerId: string): Outbox {
    this.#outboxes.get(workerId)?.close()
    const outbox = new Outbox()
    this.#outboxes.set(workerId, outbox)
    return outbox
  }

  /** @returns whether this was the worker's current stream */
  close(workerId: string, outbox: Outbox): boolean {
    outbox.close()
    if (this.#outboxes.get(workerId) !== outbox) return false
    this.#outboxes.delete(workerId)
    return true
  }

  cancelShard(
    workerId: string,
    { batchId, shardId, attempt }: { batchId: string; shardId: string; attempt: number },
  ): void {
    this.#outboxes
      .get(workerId)
      ?.send({ case: 'cancelShard', value: { $typeName: 'darkroom.v1.CancelShard', batchId, shardId, attempt } })
  }

  cancelItems(
    workerId: string,
    { batchId, shardId, items }: { batchId: string; shardId: string; items: ItemRanges },
  ): void {
    const value = create(CancelItemsSchema, { batchId, shardId, items: rangesToMessages(items) })
    this.#outboxes.get(workerId)?.send({ case: 'cancelItems', value })
  }

  /** @returns whether there is a stream to the worker */
  drain(workerId: string): boolean {
    const outbox = this.#outboxes.get(workerId)
    outbox?.send({ case: 'drain', value: { $typeName: 'darkroom.v1.Drain' } })
    return outbox !== undefined
  }

  sendAll(order: Order): void {
    for (const outbox of this.#outboxes.values()) outbox.send(order)
  }

  /** Ends every stream, so that workers look for the new leader. */
  closeAll(): void {
    for (const outbox of this.#outboxes.values()) outbox.close()
    this.#outboxes.clear()
  }
}

/** Orders for one worker, in order, until it is closed. */
export class Outbox implements AsyncIterable<{ order: Order }> {
  readonly #waiting: Order[] = []
  #isClosed = false
  #wake = (): void => {}

  send(order: Order): void {
    this.#waiting.push(order)
    this.#wake()
  }

  close(): void {
    this.#isClosed = true
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<{ order: Order }> {
    for (;;) {
      for (let order = this.#waiting.shift(); order !== undefined; order = this.#waiting.shift()) yield { order }
      if (this.#isClosed) return
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}
