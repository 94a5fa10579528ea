import { DarkroomError } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { FileDocument } from './documents.ts'
import { createFileId, isFileId } from './ids.ts'
import { idsIn } from './page.ts'
import type { PageQuery } from './page.ts'

/** Files that callers upload: a tenant's own, in the bucket. */
export class Files {
  readonly #store: ObjectStore

  constructor(store: ObjectStore) {
    this.#store = store
  }

  /**
   * Stores a file's content while it comes in; it is a file once `keep` says so.
   * @throws DarkroomError PAYLOAD_TOO_LARGE, STORE_UNAVAILABLE; nothing is left then
   */
  async receive(
    tenant: string,
    content: AsyncIterable<Uint8Array>,
    maxBytes: number,
    now: Date,
  ): Promise<{ readonly id: string; readonly bytes: number }> {
    const id = createFileId(now)
    const { bytes } = await this.#store.putStream(keys.openAiFileContent(tenant, id), atMost(content, maxBytes))
    return { id, bytes }
  }

  async keep(tenant: string, document: FileDocument): Promise<void> {
    await this.#store.put(keys.openAiFile(tenant, document.id), JSON.stringify(document), {
      contentType: 'application/json',
    })
  }

  /** One that has expired is deleted then. @throws DarkroomError NOT_FOUND, STORE_UNAVAILABLE */
  async get(tenant: string, id: string, now: Date): Promise<FileDocument> {
    const document = isFileId(id) ? await this.#store.getJson<FileDocument>(keys.openAiFile(tenant, id)) : null
    if (document === null) throw noFile(id)
    if (document.expiresAt !== null && Date.parse(document.expiresAt) <= now.getTime()) {
      await this.delete(tenant, id)
      throw noFile(id)
    }
    return document
  }

  /** Again is the same. */
  async delete(tenant: string, id: string): Promise<void> {
    await this.#store.deleteMany([keys.openAiFile(tenant, id), keys.openAiFileContent(tenant, id)])
  }

  /** As far as a page may have them. */
  async ids(tenant: string, query: PageQuery): Promise<readonly string[]> {
    return idsIn(this.#store, keys.openAiFiles(tenant), 'file-', query)
  }
}

export function noFile(id: string): DarkroomError {
  return new DarkroomError('NOT_FOUND', `no file ${id}: GET /v1/files lists yours`)
}

async function* atMost(content: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of content) {
    bytes += chunk.length
    if (bytes > maxBytes) {
      const message = `the file is longer than ${maxBytes} bytes: send it in several, or have the operator raise DARKROOM_GATEWAY_MAX_FILE_BYTES`
      throw new DarkroomError('PAYLOAD_TOO_LARGE', message)
    }
    yield chunk
  }
}
