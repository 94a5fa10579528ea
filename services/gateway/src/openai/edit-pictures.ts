import { alphaAsMask, DarkroomError, PICTURE_LIMITS } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { isInputPictureKeyOf, keys } from '@darkroom/proto'
import { isDataUrl, parseDataUrl, toDataUrl } from '../pictures/data-url.ts'
import type { Files } from './files.ts'

type Body = Readonly<Record<string, unknown>>

/**
 * The pictures of an edit as OpenAI names them: `images: [{image_url | file_id}]` and `mask: {image_url | file_id}`, whose
 * transparent places are repainted. The farm's own `image` and `mask_image` (white is repainted) are left as they are.
 * They become keys or data URLs of an item, which stores them where it has no problem.
 */
export class EditPictures {
  readonly #tenant: string
  readonly #store: ObjectStore
  readonly #files: Files

  constructor(tenant: string, parts: { store: ObjectStore; files: Files }) {
    this.#tenant = tenant
    this.#store = parts.store
    this.#files = parts.files
  }

  isNamedBy(body: Body): boolean {
    return (body['images'] ?? body['mask']) !== undefined
  }

  /** The same body with `image` and `mask_image`. @throws DarkroomError INVALID_REQUEST that names the field */
  async resolve({ images, mask, ...body }: Body): Promise<Body> {
    const image = images === undefined ? undefined : await this.#inField('images', () => this.#imageOf(images))
    const maskImage = mask === undefined ? undefined : await this.#inField('mask', () => this.#maskOf(mask))
    return { ...body, ...(image !== undefined && { image }), ...(maskImage !== undefined && { mask_image: maskImage }) }
  }

  async #imageOf(images: unknown): Promise<string> {
    const [image, another] = Array.isArray(images) ? (images as readonly unknown[]) : [images]
    if (another !== undefined) throw invalid('the farm starts from one picture: send one')
    return toDataUrl(await this.#bytesOf(image))
  }

  async #maskOf(mask: unknown): Promise<string> {
    return toDataUrl(await alphaAsMask(await this.#bytesOf(mask)))
  }

  async #bytesOf(reference: unknown): Promise<Uint8Array> {
    const { image_url: url, file_id: fileId } = Object(reference) as { image_url?: unknown; file_id?: unknown }
    if (typeof url === 'string' && isDataUrl(url)) return parseDataUrl(url)
    if (typeof url === 'string' && isInputPictureKeyOf(this.#tenant, url)) return this.#read(url)
    if (typeof fileId === 'string') {
      const { id, bytes } = await this.#files.get(this.#tenant, fileId, new Date())
      if (bytes > PICTURE_LIMITS.bytes) throw invalid(`the file has more than ${PICTURE_LIMITS.bytes} bytes`)
      return this.#read(keys.openAiFileContent(this.#tenant, id))
    }
    throw invalid(
      'want {"file_id": "file-…"}, or {"image_url": "data:image/png;base64,…"}: nothing is fetched from addresses',
    )
  }

  async #read(key: string): Promise<Uint8Array> {
    const bytes = await this.#store.get(key)
    if (bytes === null) throw new DarkroomError('NOT_FOUND', 'no such picture was uploaded')
    return bytes
  }

  async #inField<T>(field: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (reason) {
      const { code, message } = DarkroomError.from(reason)
      if (code === 'INTERNAL' || code === 'STORE_UNAVAILABLE') throw reason
      throw new DarkroomError('INVALID_REQUEST', 'the request is not valid', { problems: [{ field, message }] })
    }
  }
}

function invalid(message: string): DarkroomError {
  return new DarkroomError('INVALID_REQUEST', message)
}
