import { DarkroomError } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { BatchDocument } from '@darkroom/proto'

/**
 * Something that may become one batch at most: an Idempotency-Key, or a file of OpenAI's that was handed in. Whoever writes its
 * document first has it. The document holds the whole batch.json, so that whoever finds it can finish what its writer did not.
 */
export interface Claim {
  readonly key: string
  /** What the batch was made of, once all of it was read. */
  fingerprint(): string
}

/** What became of a claim. */
export type Outcome =
  | { readonly kind: 'accepted'; readonly fingerprint: string; readonly document: BatchDocument }
  | { readonly kind: 'failed'; readonly at: string; readonly errors: readonly ClaimError[] }
  | { readonly kind: 'cancelled'; readonly at: string }

/** Of an accepted batch that ended and was deleted since, as the coordinator does after a while. Never stored. */
export interface Deleted {
  readonly kind: 'deleted'
  readonly fingerprint: string
  readonly batchId: string
}

interface ClaimError {
  readonly code: string
  readonly line: number | null
  readonly message: string
  readonly param: string | null
}

/** Another was first; `outcome` is what it made of it. */
export class AlreadyClaimed extends Error {
  readonly outcome: Outcome | Deleted

  constructor(outcome: Outcome | Deleted) {
    super('another request was first')
    this.outcome = outcome
  }
}

/** @throws AlreadyClaimed; DarkroomError STORE_UNAVAILABLE: it may or may not have been written */
export async function claim(store: ObjectStore, key: string, outcome: Outcome): Promise<void> {
  const written = await store.putIfAbsent(key, JSON.stringify(outcome), { contentType: 'application/json' })
  if (written === 'exists') throw new AlreadyClaimed((await outcomeOf(store, key))!)
}

/** What became of a claim, finished where its writer was cut off; null where nobody has it yet. */
export async function outcomeOf(store: ObjectStore, key: string): Promise<Outcome | Deleted | null> {
  const outcome = await store.getJson<Outcome>(key)
  if (outcome?.kind !== 'accepted') return outcome
  const { document, fingerprint } = outcome
  if ((await store.head(keys.batch(document.id))) !== null) return outcome
  // Its input is what is deleted first.
  const wasReal = (await store.head(document.parts[0]!.key)) === null
  if (wasReal) return { kind: 'deleted', fingerprint, batchId: document.id }
  await writeBatch(store, document)
  return outcome
}

/** Before a batch is real: an end that is to be told is found, whatever dies in between. */
export async function noteEndToTell(store: ObjectStore, { id, createdAt, webhook }: BatchDocument): Promise<void> {
  if (webhook !== undefined) await store.put(keys.webhookPending(id), JSON.stringify({ notedAt: createdAt }))
}

/** Makes a batch real; again is the same. */
export async function writeBatch(store: ObjectStore, document: BatchDocument): Promise<'created' | 'exists'> {
  return store.putIfAbsent(keys.batch(document.id), JSON.stringify(document), { contentType: 'application/json' })
}

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/

/** Of a request's Idempotency-Key header (IETF draft); null without one. @throws DarkroomError INVALID_REQUEST */
export function idempotencyKeyOf(header: string | readonly string[] | undefined): string | null {
  if (header === undefined) return null
  if (typeof header === 'string' && IDEMPOTENCY_KEY.test(header)) return header
  throw new DarkroomError('INVALID_REQUEST', 'Idempotency-Key is not usable', {
    problems: [{ field: 'Idempotency-Key', message: 'want 1 to 255 visible ASCII characters, such as a UUID' }],
  })
}
