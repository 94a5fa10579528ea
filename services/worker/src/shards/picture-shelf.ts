import { DarkroomError, Limit } from '@darkroom/chassis'
import type { Raster } from '@darkroom/diffusion'
import { orGivenUp } from '../or-given-up.ts'
import { loadPicture } from './load-picture.ts'
import type { PictureSource } from './load-picture.ts'

interface Entry {
  readonly loading: Promise<Raster>
  /** 0 until it is decoded. */
  bytes: number
  holders: number
}

export interface HeldPictures<Name extends string> extends Disposable {
  readonly pictures: Readonly<Partial<Record<Name, Raster>>>
}

export interface PictureShelfOptions extends PictureSource {
  /** Decoded bytes that are kept; while so many are in use, the next item waits before its pictures are fetched. */
  readonly capacityBytes: number
}

const ITEMS_FETCHING = 4

/** Pictures that items start from: each is fetched, checked and decoded once, however many items and shards share it. */
export class PictureShelf implements Disposable {
  readonly #options: PictureShelfOptions
  readonly #closing = new AbortController()
  readonly #fetching = new Limit(ITEMS_FETCHING)
  /** By object key, the least recently used first. */
  readonly #entries = new Map<string, Entry>()
  #released = Promise.withResolvers<void>()

  constructor(options: PictureShelfOptions) {
    this.#options = options
  }

  /**
   * Keeps an item's pictures decoded until what it returns is disposed.
   * @param keys object keys by the item's field; all at once, so that no two items wait for each other
   * @throws DarkroomError RENDER_FAILED for a picture that is missing, broken or too large; CANCELLED by the signal
   */
  async hold<Name extends string>(
    keys: Readonly<Partial<Record<Name, string>>>,
    signal: AbortSignal,
  ): Promise<HeldPictures<Name>> {
    const named = Object.entries(keys) as [Name, string][]
    if (named.length === 0) return heldPictures([], () => {})
    return this.#fetching.run(async () => {
      await this.#waitForRoom(signal)
      const taken = named.map(([name, key]) => [name, this.#take(key)] as const)
      const release = (): void => this.#release(taken.map(([, entry]) => entry))
      try {
        const loaded = taken.map(async ([name, { loading }]) => [name, await loading.catch(nameField(name))] as const)
        const pictures = await orGivenUp(Promise.all(loaded), signal, 'given up while its pictures were fetched')
        return heldPictures(pictures, release)
      } catch (reason) {
        release()
        throw reason
      }
    })
  }

  [Symbol.dispose](): void {
    this.#closing.abort()
  }

  get #heldBytes(): number {
    return this.#entries.values().reduce((sum, { bytes, holders }) => sum + (holders > 0 ? bytes : 0), 0)
  }

  async #waitForRoom(signal: AbortSignal): Promise<void> {
    const message = 'given up while it waited for room for its pictures'
    if (signal.aborted) throw new DarkroomError('CANCELLED', message)
    while (this.#heldBytes >= this.#options.capacityBytes) await orGivenUp(this.#released.promise, signal, message)
  }

  #take(key: string): Entry {
    const entry = this.#entries.get(key) ?? this.#open(key)
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    entry.holders++
    return entry
  }

  #release(entries: readonly Entry[]): void {
    for (const entry of entries) entry.holders--
    this.#forget()
    this.#released.resolve()
    this.#released = Promise.withResolvers()
  }

  #open(key: string): Entry {
    const entry: Entry = { loading: loadPicture(this.#options, key, this.#closing.signal), bytes: 0, holders: 0 }
    entry.loading.then(
      ({ data }) => {
        entry.bytes = data.length
        this.#forget()
      },
      // A failure is not remembered: the picture may be uploaded again.
      () => this.#entries.delete(key),
    )
    return entry
  }

  #forget(): void {
    let kept = this.#entries.values().reduce((sum, { bytes }) => sum + bytes, 0)
    for (const [key, { bytes, holders }] of this.#entries) {
      if (kept <= this.#options.capacityBytes) return
      if (holders > 0 || bytes === 0) continue
      this.#entries.delete(key)
      kept -= bytes
    }
  }
}

function heldPictures<Name extends string>(
  pictures: readonly (readonly [Name, Raster])[],
  release: () => void,
): HeldPictures<Name> {
  return { pictures: Object.fromEntries(pictures) as Partial<Record<Name, Raster>>, [Symbol.dispose]: release }
}

function nameField(name: string): (reason: unknown) => never {
  return (reason) => {
    const { code, message } = DarkroomError.from(reason)
    throw code === 'RENDER_FAILED' ? new DarkroomError(code, `${name}: ${message}`, { cause: reason }) : reason
  }
}
