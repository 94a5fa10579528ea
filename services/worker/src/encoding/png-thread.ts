import { withPngText } from '@darkroom/chassis/png'
import { parentPort } from 'node:worker_threads'
import { encodePng } from './encode-png.ts'
import type { PngOrder } from './png-encoder.ts'

/** Writes one PNG after the other. It imports no more than it needs: every import is memory and time of each worker. */
const port = parentPort!
port.on('message', ({ picture, texts }: PngOrder) => {
  // Memory of its own: a small Buffer lies in Node's pool, which cannot be handed over.
  const png = Uint8Array.from(withPngText(encodePng(picture), { ...texts }))
  port.postMessage(png, [png.buffer])
})
