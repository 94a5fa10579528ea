import { createHmac, randomBytes } from 'node:crypto'
import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import { isSame } from './api-key.ts'

const SECRET_BYTES = 32
/** Addresses that are made within a day are the same, so that browsers and files of results keep them. */
const DAY_SECONDS = 86_400
const LIFE_DAYS = 30

/**
 * Addresses of pictures that need no key: who has one may look at that one picture for a month, as with a presigned URL of
 * the object store, but longer and behind the gateway. The secret lies in the bucket, so that any gateway knows it.
 */
export class ImageUrls {
  readonly #secret: Buffer

  private constructor(secret: Buffer) {
    this.#secret = secret
  }

  /** @throws DarkroomError STORE_UNAVAILABLE */
  static async open(store: ObjectStore): Promise<ImageUrls> {
    await store.putIfAbsent(keys.urlSecret, randomBytes(SECRET_BYTES))
    return new ImageUrls(Buffer.from((await store.get(keys.urlSecret))!))
  }

  /** Path and query of a batch's picture. */
  of(batchId: string, name: string, now: Date = new Date()): string {
    const days = Math.floor(now.getTime() / 1000 / DAY_SECONDS) + LIFE_DAYS
    const expires = days * DAY_SECONDS
    return `/api/v1/batches/${batchId}/images/${name}?expires=${expires}&signature=${this.#signature(batchId, name, expires)}`
  }

  isSigned(
    batchId: string,
    name: string,
    { expires, signature }: { readonly expires?: number; readonly signature?: string },
    now: Date = new Date(),
  ): boolean {
    if (expires === undefined || signature === undefined || expires * 1000 <= now.getTime()) return false
    return isSame(signature, this.#signature(batchId, name, expires))
  }

  #signature(batchId: string, name: string, expires: number): string {
    return createHmac('sha256', this.#secret).update(`${batchId}/${name}/${expires}`).digest('hex')
  }
}
