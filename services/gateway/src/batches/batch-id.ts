import { randomBytes } from 'node:crypto'
import { Type } from 'typebox'

/** Crockford's base 32 in lower case: byte order is numeric order. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz'
const TIME_DIGITS = 10
const RANDOM_DIGITS = 12

const BATCH_ID = /^b[0-9a-z]{22}$/

/** A new batch id. Ids sort by the millisecond of their making; 60 random bits tell the rest apart. */
export function createBatchId(now: Date): string {
  return `b${createSortedId(now)}`
}

/** What ids of things that are listed by age end in: 22 characters. */
export function createSortedId(now: Date): string {
  let time = ''
  for (let rest = now.getTime(); time.length < TIME_DIGITS; rest = Math.floor(rest / 32))
    time = DIGITS[rest % 32]! + time
  const random = [...randomBytes(RANDOM_DIGITS)].map((byte) => DIGITS[byte % 32]!)
  return `${time}${random.join('')}`
}

export function isBatchId(text: string): boolean {
  return BATCH_ID.test(text)
}

/** Path parameters of every route of one batch. */
export const batchIdParams = Type.Object({
  id: Type.String({ maxLength: 100, description: 'Of the batch.', examples: ['b01kb3m8x5t7v9rj2w4n6pqa'] }),
})
