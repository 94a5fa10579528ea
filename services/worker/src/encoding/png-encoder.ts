import { DarkroomError } from '@darkroom/chassis'
import type { PictureTexts } from '@darkroom/chassis'
import type { Raster } from '@darkroom/diffusion'
import { Worker } from 'node:worker_threads'

export interface PngOrder {
  readonly picture: Raster
  readonly texts: PictureTexts
}

/** The thread that writes PNGs, as its owner sees it. One keeps up with some hundred pictures of 512 × 512 a second. */
export class PngEncoder implements AsyncDisposable {
  readonly #thread = new Worker(new URL('png-thread.ts', import.meta.url))
  /** In the order of their pictures, which is that of the answers. */
  readonly #waiting: PromiseWithResolvers<Buffer>[] = []
  #death: DarkroomError | null = null

  /** @param died called once where the thread ends before it is disposed of: nothing is written any more */
  constructor(died: (reason: Error) => void) {
    const end = (cause: Error): void => {
      if (this.#death !== null) return
      this.#death = new DarkroomError('INTERNAL', 'the PNG thread died', { cause })
      for (const { reject } of this.#waiting.splice(0)) reject(this.#death)
      died(cause)
    }
    this.#thread.on('message', ({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>) =>
      this.#waiting.shift()?.resolve(Buffer.from(buffer, byteOffset, byteLength)),
    )
    this.#thread.on('error', (reason) => end(reason as Error))
    this.#thread.on('exit', (code) => end(new Error(`the PNG thread ended with code ${code}`)))
  }

  /** @param picture its memory goes to the thread, and is gone here */
  encode(picture: Raster, texts: PictureTexts): Promise<Buffer> {
    const answer = Promise.withResolvers<Buffer>()
    if (this.#death !== null) return Promise.reject(this.#death)
    this.#waiting.push(answer)
    this.#thread.postMessage({ picture, texts } satisfies PngOrder, [picture.data.buffer as ArrayBuffer])
    return answer.promise
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const reason = new DarkroomError('CANCELLED', 'the PNG thread was stopped')
    this.#death ??= reason
    for (const { reject } of this.#waiting.splice(0)) reject(reason)
    await this.#thread.terminate()
  }
}
