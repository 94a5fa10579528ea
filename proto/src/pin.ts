/** A checkpoint by content: the digest is the sha256 of its manifest's bytes. */
export interface Pin {
  readonly name: string
  readonly hex: string
}

const NAME = /^[a-z0-9][a-z0-9._-]{0,99}$/
const PIN = /^([a-z0-9][a-z0-9._-]{0,99})@sha256:([0-9a-f]{64})$/
const TAGGED = /^([a-z0-9][a-z0-9._-]{0,99})(?::([A-Za-z0-9][A-Za-z0-9._-]{0,99}))?$/

export function isCheckpointName(text: string): boolean {
  return NAME.test(text)
}

/** Reads `name@sha256:HEX`; null where the text is no pin. */
export function parsePin(text: string): Pin | null {
  const match = PIN.exec(text)
  return match === null ? null : { name: match[1]!, hex: match[2]! }
}

export function formatPin(pin: Pin): string {
  return `${pin.name}@sha256:${pin.hex}`
}

/** Reads `name` or `name:tag` (tag "latest" by default); null where the text is neither. */
export function parseTag(text: string): { name: string; tag: string } | null {
  const match = TAGGED.exec(text)
  return match === null ? null : { name: match[1]!, tag: match[2] ?? 'latest' }
}
