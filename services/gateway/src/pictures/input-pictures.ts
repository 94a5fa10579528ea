import { createHash } from 'node:crypto'
import { DarkroomError, inspectPicture, PICTURE_LIMITS } from '@darkroom/chassis'
import type { ObjectStore, PictureFacts } from '@darkroom/chassis'
import { isInputPictureKeyOf, keys } from '@darkroom/proto'
import { isDataUrl, parseDataUrl } from './data-url.ts'

export interface StoredPicture extends PictureFacts {
  /** What items name it by. */
  readonly key: string
  readonly bytes: number
}

/** A picture that an item means, within the limits. */
export interface InputPicture extends StoredPicture {
  /** What is not yet stored under its key; absent where it is there. */
  readonly content?: Uint8Array
}

const MAX_REMEMBERED = 16_384

/** Pictures that items start from, in the bucket by tenant and content: a tenant's same picture is stored once. */
export class InputPictures {
  readonly #store: ObjectStore
  /** By key, the least recently named first. */
  readonly #known = new Map<string, StoredPicture>()

  constructor(store: ObjectStore) {
    this.#store = store
  }

  /** What is remembered of a stored picture; undefined for one that `examine` must look up. */
  get(tenant: string, reference: string): StoredPicture | undefined {
    if (!isInputPictureKeyOf(tenant, reference)) return undefined
    const known = this.#known.get(reference)
    if (known !== undefined) this.#remember(known)
    return known
  }

  /**
   * Holds a picture against the limits, by its header, and stores it.
   * @throws DarkroomError INVALID_REQUEST, PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, STORE_UNAVAILABLE
   */
  async store(tenant: string, bytes: Uint8Array): Promise<StoredPicture> {
    return this.keep(await this.#inspect(tenant, bytes))
  }

  /** Stores an examined picture, if it is not there. @throws DarkroomError STORE_UNAVAILABLE */
  async keep({ content, ...picture }: InputPicture): Promise<StoredPicture> {
    if (content !== undefined) await this.#store.put(picture.key, content, { contentType: picture.contentType })
    return this.#remember(picture)
  }

  /**
   * The picture that an item's field means: a data URL, which `keep` stores, or the key of one that was uploaded. Nothing is
   * ever fetched from an address that a caller gives.
   * @throws DarkroomError as `store`, and NOT_FOUND
   */
  async examine(tenant: string, reference: string): Promise<InputPicture> {
    if (isDataUrl(reference)) return this.#inspect(tenant, parseDataUrl(reference))
    if (!isInputPictureKeyOf(tenant, reference)) {
      const isAddress = /^[a-z][a-z0-9+.-]*:/i.test(reference)
      throw new DarkroomError(
        'INVALID_REQUEST',
        `${isAddress ? 'pictures are not fetched from addresses' : 'this is no key of an upload'}: send the picture to POST /api/v1/pictures and name its key, or give a data URL`,
      )
    }
    return this.get(tenant, reference) ?? this.#lookUp(reference)
  }

  async #inspect(tenant: string, content: Uint8Array): Promise<InputPicture> {
    const key = keys.inputPicture(tenant, createHash('sha256').update(content).digest('hex'))
    return this.get(tenant, key) ?? { key, bytes: content.length, ...(await inspectPicture(content)), content }
  }

  async #lookUp(key: string): Promise<StoredPicture> {
    const found = await this.#store.head(key)
    if (found !== null && found.size > PICTURE_LIMITS.bytes) {
      throw new DarkroomError('PAYLOAD_TOO_LARGE', `it has ${found.size} bytes; want at most ${PICTURE_LIMITS.bytes}`)
    }
    const bytes = found === null ? null : await this.#store.get(key)
    if (bytes === null) {
      throw new DarkroomError('NOT_FOUND', 'no such picture was uploaded: send it to POST /api/v1/pictures')
    }
    return this.#remember({ key, bytes: bytes.length, ...(await inspectPicture(bytes)) })
  }

  #remember(picture: StoredPicture): StoredPicture {
    this.#known.delete(picture.key)
    if (this.#known.size === MAX_REMEMBERED) this.#known.delete(this.#known.keys().next().value!)
    this.#known.set(picture.key, picture)
    return picture
  }
}
