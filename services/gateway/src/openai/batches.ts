import { setTimeout as delay } from 'node:timers/promises'
import { DarkroomError } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { CoreContext } from '../context.ts'
import { acceptBatch } from '../ingest/accept-batch.ts'
import { BatchPictures } from '../ingest/batch-pictures.ts'
import { AlreadyClaimed, claim, outcomeOf } from '../ingest/claim.ts'
import type { Outcome } from '../ingest/claim.ts'
import type { IntakeRequest } from '../ingest/intake.ts'
import { readNdjson } from '../ingest/read-ndjson.ts'
import { tellCoordinator } from '../batches/tell-coordinator.ts'
import { BatchLines } from './batch-lines.ts'
import type { OpenAiBatchDocument } from './documents.ts'
import { EditPictures } from './edit-pictures.ts'
import { Files } from './files.ts'
import { isOpenAiBatchId } from './ids.ts'
import { idsIn } from './page.ts'
import type { PageQuery } from './page.ts'
import { WireItems } from './wire-item.ts'

/** So long after a batch was made another gateway takes its check over: the first has died, or is slow; both may well be at it. */
const TAKE_OVER_AFTER_MS = 60_000
const LOOK_EVERY_MS = 30_000
/** Bytes a second that even a slow gateway checks. */
const SLOWEST_CHECK = 1_000_000

/**
 * Batches in OpenAI's shape: a file of lines that is checked after the answer, and becomes a batch of the farm, or fails whole.
 * What becomes of one is written once, so that any gateway may check it, and several at the same time.
 */
export class OpenAiBatches {
  readonly #context: CoreContext
  readonly #files: Files
  readonly #wireItems: WireItems
  readonly #checking = new Set<string>()

  constructor(context: CoreContext, files: Files) {
    this.#context = context
    this.#files = files
    this.#wireItems = new WireItems(context.itemProperties)
  }

  /** Makes a batch real, and begins to check its input. @throws DarkroomError STORE_UNAVAILABLE */
  async create(document: OpenAiBatchDocument): Promise<void> {
    const { store } = this.#context
    const { tenant, id } = document
    await store.put(keys.openAiPending(tenant, id), document.createdAt)
    await store.put(keys.openAiBatch(tenant, id), JSON.stringify(document), { contentType: 'application/json' })
    this.#startCheck(document)
  }

  /** One that was deleted, as it ended long enough ago, is forgotten then. @throws DarkroomError NOT_FOUND */
  async get(tenant: string, id: string): Promise<{ document: OpenAiBatchDocument; outcome: Outcome | null }> {
    const { store } = this.#context
    const [document, outcome] = isOpenAiBatchId(id)
      ? await Promise.all([
          store.getJson<OpenAiBatchDocument>(keys.openAiBatch(tenant, id)),
          outcomeOf(store, keys.openAiOutcome(tenant, id)),
        ])
      : [null, null]
    if (outcome?.kind === 'deleted') await this.#forget(tenant, id)
    if (document === null || outcome?.kind === 'deleted')
      throw new DarkroomError('NOT_FOUND', `no batch ${id}: GET /v1/batches lists yours`)
    return { document, outcome }
  }

  /** As far as a page may have them. */
  async ids(tenant: string, query: PageQuery): Promise<readonly string[]> {
    return idsIn(this.#context.store, keys.openAiBatches(tenant), 'batch_', query)
  }

  /** Ends a batch that is still being checked; one that was accepted is the coordinator's to cancel. */
  async cancelCheck({ tenant, id }: OpenAiBatchDocument): Promise<Outcome> {
    const cancelled: Outcome = { kind: 'cancelled', at: new Date().toISOString() }
    return this.#conclude(tenant, id, cancelled)
  }

  /** Takes over checks that other gateways have left, until the service stops. */
  async watchPending(): Promise<void> {
    const { stopping } = this.#context
    while (!stopping.aborted) {
      await this.#takeOver().catch((err: unknown) => this.#context.events.pendingNotSeen(err))
      await delay(LOOK_EVERY_MS, undefined, { signal: stopping }).catch(() => {})
    }
  }

  async #takeOver(): Promise<void> {
    const { store } = this.#context
    for await (const { key } of store.list(keys.openAiPendingFolder)) {
      const [tenant, id] = key.slice(keys.openAiPendingFolder.length).split('/') as [string, string]
      const document = await store.getJson<OpenAiBatchDocument>(keys.openAiBatch(tenant, id))
      if (document === null || this.#checking.has(id)) continue
      const ageMs = Date.now() - Date.parse(document.createdAt)
      if (ageMs < TAKE_OVER_AFTER_MS) continue
      const input = await this.#files.get(tenant, document.input_file_id, new Date()).catch(() => null)
      if (ageMs > TAKE_OVER_AFTER_MS + ((input?.bytes ?? 0) / SLOWEST_CHECK) * 1000) this.#startCheck(document)
    }
  }

  #startCheck(document: OpenAiBatchDocument): void {
    const { events, openWork } = this.#context
    const { id } = document
    this.#checking.add(id)
    const work: Promise<unknown> = this.#check(document)
      .catch((err: unknown) => events.batchNotChecked(id, err))
      .finally(() => {
        this.#checking.delete(id)
        openWork.delete(work)
      })
    openWork.add(work)
  }

  async #check(document: OpenAiBatchDocument): Promise<void> {
    const { store } = this.#context
    const { tenant, id } = document
    const known = await store.getJson<Outcome>(keys.openAiOutcome(tenant, id))
    if (known === null) await this.#accept(document)
    await store.delete(keys.openAiPending(tenant, id))
  }

  async #accept(document: OpenAiBatchDocument): Promise<void> {
    const { tenant, id } = document
    try {
      const accepted = await acceptBatch(
        this.#context.intakeRules,
        this.#requestOf(document),
        async (intake) => {
          const input = await this.#files.get(tenant, document.input_file_id, new Date())
          const content = await this.#context.store.getStream(keys.openAiFileContent(tenant, input.id))
          if (content === null) throw new DarkroomError('NOT_FOUND', `the content of ${input.id} is gone`)
          const pictures = new EditPictures(tenant, { ...this.#context, files: this.#files })
          const lines = new BatchLines(intake, document.endpoint, this.#wireItems, pictures)
          await readNdjson(content.body, lines, this.#context.config.maxLineBytes)
          const { bits } = lines.base64Items
          if (bits !== null && lines.problems.isEmpty)
            await this.#context.store.put(keys.openAiBase64Items(tenant, id), bits)
        },
        this.#context,
      )
      this.#context.documents.keep(accepted)
      await tellCoordinator(this.#context, accepted)
    } catch (reason) {
      if (reason instanceof AlreadyClaimed) return
      const { code, message, problems } = DarkroomError.from(reason)
      if (code === 'INTERNAL' || code === 'STORE_UNAVAILABLE') throw reason
      const errors = (problems.length > 0 ? problems : [{ message }]).map((problem) => ({
        code: code.toLowerCase(),
        line: problem.line ?? null,
        message: problem.message,
        param: problem.field ?? null,
      }))
      await this.#conclude(tenant, id, { kind: 'failed', at: new Date().toISOString(), errors })
    }
  }

  #requestOf(document: OpenAiBatchDocument): IntakeRequest {
    const { tenant, id, metadata, traceparent, expiresAt } = document
    const key = keys.openAiOutcome(tenant, id)
    return {
      tenant,
      defaults: {},
      pictures: new BatchPictures(this.#context.pictures, tenant),
      metadata,
      traceparent,
      now: new Date(),
      claim: { key, fingerprint: () => id },
      expiresAt,
      locate: ({ field, ...problem }, line) => {
        const named = this.#wireItems.inWireNames({ ...problem, ...(field !== undefined && { field }) })
        const place = field === 'customId' ? 'custom_id' : `body.${named.field ?? ''}`
        return { line, ...named, ...(field !== undefined && { field: place }) }
      },
    }
  }

  /** The outcome last: as long as it is there, whoever looks knows that the batch is deleted, and goes on. */
  async #forget(tenant: string, id: string): Promise<void> {
    const { store } = this.#context
    const outcome = keys.openAiOutcome(tenant, id)
    const documents = await Array.fromAsync(store.list(keys.openAiBatchFolder(tenant, id)), ({ key }) => key)
    await store.deleteMany(documents.filter((key) => key !== outcome))
    await store.delete(outcome)
  }

  async #conclude(tenant: string, id: string, outcome: Outcome): Promise<Outcome> {
    try {
      await claim(this.#context.store, keys.openAiOutcome(tenant, id), outcome)
      return outcome
    } catch (reason) {
      if (reason instanceof AlreadyClaimed) return (await this.get(tenant, id)).outcome!
      throw reason
    }
  }
}
