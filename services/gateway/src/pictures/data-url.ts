import { DarkroomError, PICTURE_LIMITS } from '@darkroom/chassis'

const HEAD = /^data:image\/(?:png|jpeg|webp);base64,/i

export function isDataUrl(text: string): boolean {
  return /^data:/i.test(text)
}

/** What the bytes are is looked up in them, whatever the URL says. */
export function toDataUrl(bytes: Uint8Array): string {
  return `data:image/png;base64,${Buffer.from(bytes).toString('base64')}`
}

/**
 * The bytes of `data:image/png;base64,…` (RFC 2397).
 * @throws DarkroomError INVALID_REQUEST, PAYLOAD_TOO_LARGE before anything is decoded
 */
export function parseDataUrl(url: string): Uint8Array {
  const head = HEAD.exec(url.slice(0, 64))?.[0]
  if (head === undefined) {
    throw new DarkroomError('INVALID_REQUEST', 'want data:image/png;base64,…, or image/jpeg or image/webp')
  }
  const text = url.slice(head.length)
  if ((text.length / 4) * 3 > PICTURE_LIMITS.bytes + 3) {
    throw new DarkroomError('PAYLOAD_TOO_LARGE', `the picture is longer than ${PICTURE_LIMITS.bytes} bytes`)
  }
  const bytes = Buffer.from(text, 'base64')
  // The decoder leaves out what is no base64.
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  if (bytes.length !== (text.length / 4) * 3 - padding) {
    const message = 'the data URL is not base64 to its end: it was cut off, or encoded otherwise'
    throw new DarkroomError('INVALID_REQUEST', message)
  }
  return bytes
}
