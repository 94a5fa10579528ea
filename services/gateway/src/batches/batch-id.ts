import { randomBytes } from 'node:crypto'

/** Crockford's base 32 in lower case: byte order is numeric order. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz'
const TIME_DIGITS = 10
const RANDOM_DIGITS = 12

const BATCH_ID = /^b[0-9a-z]{22}$/

/** A new batch id. Ids sort by the millisecond of their making; 60 random bits tell the rest apart. */
export function createBatchId(now: Date): string {
  let time = ''
  for (let rest = now.getTime(); time.length < TIME_DIGITS; rest = Math.floor(rest / 32))
    time = DIGITS[rest % 32]! + time
  const random = [...randomBytes(RANDOM_DIGITS)].map((byte) => DIGITS[byte % 32]!)
  return `b${time}${random.join('')}`
}

export function isBatchId(text: string): boolean {
  return BATCH_ID.test(text)
}
