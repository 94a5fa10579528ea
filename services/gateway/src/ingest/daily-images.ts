import { DarkroomError } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { dayOf, keys } from '@darkroom/proto'

/** Images that a batch asks for on the day (UTC) that it came on. */
export interface AskedImages {
  readonly tenant: string
  /** Of the batch; of a claim, where several attempts may become one. */
  readonly id: string
  readonly images: number
  readonly now: Date
}

/** How a tenant stands with its images of a day. */
export interface DailyQuota {
  readonly limit: number
  readonly left: number
  /** Until the next day (UTC). */
  readonly resetSeconds: number
}

/** Is told how the tenant stands, also where it is refused. */
export type TellQuota = (quota: DailyQuota) => void

/**
 * Notes that a tenant asks for images, and refuses it where those of the day are more than it may have. Noted first and counted then,
 * so that of two batches that come at the same time, to whatever gateway, no two pass that together are too much; both may be refused.
 * The note's name has the number: a day is counted by a listing alone.
 * Whatever comes of it, the caller gives back what does not become a batch.
 * @throws DarkroomError TOO_MANY_REQUESTS with when to ask again
 */
export async function askForImages(
  store: ObjectStore,
  limit: number,
  asked: AskedImages,
  tell: TellQuota = () => {},
): Promise<void> {
  const { tenant, images, now } = asked
  await store.put(noteOf(asked), String(images))
  const today = await imagesOf(store, tenant, now)
  tell(quotaOf(limit, today <= limit ? today : today - images, now))
  if (today <= limit) return
  const message = `tenant ${tenant} may ask for ${limit} images a day, ${today - images} are taken and ${images} are wanted`
  throw new DarkroomError('TOO_MANY_REQUESTS', `${message}: ask for fewer, or tomorrow (UTC)`, {
    retryAfterSeconds: secondsLeft(now),
  })
}

/** What was asked for does not come about. */
export async function giveImagesBack(store: ObjectStore, asked: AskedImages): Promise<void> {
  await store.delete(noteOf(asked))
}

/** Images that a tenant has asked for on this day. Where it may have any number nobody counts them. */
export async function imagesOf(store: ObjectStore, tenant: string, now: Date): Promise<number> {
  let sum = 0
  for await (const { key } of store.list(keys.dailyImages(tenant, dayOf(now)))) sum += Number(key.split('-').at(-1))
  return sum
}

/** @param taken images of that day */
export function quotaOf(limit: number, taken: number, now: Date): DailyQuota {
  return { limit, left: Math.max(0, limit - taken), resetSeconds: secondsLeft(now) }
}

function noteOf({ tenant, id, images, now }: AskedImages): string {
  return `${keys.dailyImages(tenant, dayOf(now))}${id}-${images}`
}

function secondsLeft(now: Date): number {
  const tomorrow = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1)
  return Math.ceil((tomorrow - now.getTime()) / 1000)
}
