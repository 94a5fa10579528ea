import { keys } from '@darkroom/proto'
import type { BatchDocument } from '@darkroom/proto'
import { DarkroomError } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { createBatchId } from '../batches/batch-id.ts'
import type { CheckpointCatalog } from '../checkpoints/catalog.ts'
import { askForImages, giveImagesBack } from './daily-images.ts'
import type { AskedImages, TellQuota } from './daily-images.ts'
import { AlreadyClaimed, claim, noteEndToTell, writeBatch } from './claim.ts'
import type { Claim } from './claim.ts'
import { BatchCheckpoints } from './batch-checkpoints.ts'
import type { ShapeCheck } from './check-item.ts'
import type { BatchPictures } from './batch-pictures.ts'
import { CustomIdSet } from './custom-ids.ts'
import { ItemLines } from './item-lines.ts'
import type { ItemNeed } from './item-lines.ts'
import { examinePictures } from './item-pictures.ts'
import type { ExaminedPictures } from './item-pictures.ts'
import type { ItemInput } from './item-schema.ts'
import type { Parameters } from './parameters.ts'
import { PartWriter } from './part-writer.ts'
import type { LineSink } from './part-writer.ts'
import { Problems } from '../field-problems.ts'
import type { Problem } from '@darkroom/chassis'
import { RandomSeeds } from './random-seeds.ts'
import { sha256Hex } from '../auth/api-key.ts'
import { termsOf } from '../auth/tenants.ts'
import type { Tenants } from '../auth/tenants.ts'

/** What all intakes of a gateway share. */
export interface IntakeRules {
  readonly store: ObjectStore
  readonly catalog: CheckpointCatalog
  readonly itemCheck: ShapeCheck
  readonly parameters: Parameters
  readonly defaultCheckpoint: string | null
  readonly maxItems: number
  readonly maxSide: number
  readonly tenants: Tenants
}

/** What came with a batch besides its items. */
export interface IntakeRequest {
  readonly tenant: string
  readonly defaults: ItemInput
  readonly pictures: BatchPictures
  readonly metadata: Readonly<Record<string, string>>
  readonly traceparent: string
  readonly now: Date
  /** Null: it becomes a batch whatever else does. */
  readonly claim: Claim | null
  readonly isInteractive?: true
  readonly expiresAt?: string
  readonly webhook?: { readonly url: string }
  readonly approveAfter?: number
  readonly tellQuota?: TellQuota
  /** Puts an item's place into a problem: `position` is the line of an NDJSON body, or the index in a JSON body. */
  locate(problem: Problem, position: number): Problem
}

/**
 * One batch on its way in: items are checked, completed and written as they come. It ends in `accept`, which makes the batch
 * real by writing batch.json last, or in `discard`, which leaves nothing. After the first problem nothing more is stored, but
 * items are still checked, so that the answer names up to twenty problems at once.
 */
export class Intake {
  readonly batchId: string
  readonly problems = new Problems()
  readonly #rules: IntakeRules
  readonly #request: IntakeRequest
  readonly #checkpoints: BatchCheckpoints
  readonly #lines: ItemLines
  readonly #parts: LineSink
  #itemCount = 0
  #mayBeClaimed = false
  #asked: AskedImages | null = null

  /** @param parts takes the lines; by default the batch's input parts in the store */
  constructor(rules: IntakeRules, request: IntakeRequest, parts?: LineSink) {
    this.batchId = createBatchId(request.now)
    this.#rules = rules
    this.#request = request
    const { checkpoints, maySkipSafetyChecker } = termsOf(rules.tenants, request.tenant)
    this.#checkpoints = new BatchCheckpoints(rules.catalog, checkpoints)
    this.#parts = parts ?? new PartWriter(rules.store, this.batchId)
    this.#lines = new ItemLines({
      ...rules,
      defaults: request.defaults,
      pictures: request.pictures,
      checkpoints: this.#checkpoints,
      customIds: new CustomIdSet(),
      seeds: new RandomSeeds(),
      maySkipSafetyChecker,
    })
  }

  get itemCount(): number {
    return this.#itemCount
  }

  /**
   * Takes the next item. Where it returns a promise, the caller waits for it before the next: a checkpoint is being looked
   * up, a picture stored, or a part is full. Most items need none of it, and then there is no promise.
   * @throws DarkroomError PAYLOAD_TOO_LARGE
   */
  add(value: unknown, position: number): Promise<void> | undefined {
    if (this.#itemCount === this.#rules.maxItems) {
      throw new DarkroomError('PAYLOAD_TOO_LARGE', `a batch has at most ${this.#rules.maxItems} items: split it`)
    }
    if (!this.#rules.itemCheck.passes(value)) {
      this.#itemCount++
      this.#refuse(this.#rules.itemCheck.problemsOf(value), position)
      return undefined
    }
    return this.#write(value, position)
  }

  #write(item: ItemInput, position: number, examined?: ExaminedPictures): Promise<void> | undefined {
    const line = this.#lines.lineOf(item, this.#itemCount, examined)
    if (typeof line !== 'string' && 'needs' in line) return this.#supply(item, line, position)
    const isToKeep = typeof line === 'string' && this.problems.isEmpty && this.#parts.isStored
    if (examined === undefined || !isToKeep) return this.#take(line, position)
    return this.#request.pictures.keep(examined.pictures).then(() => this.#take(line, position))
  }

  #take(line: string | readonly Problem[], position: number): Promise<void> | undefined {
    this.#itemCount++
    if (typeof line !== 'string') {
      this.#refuse(line, position)
      return undefined
    }
    if (!this.problems.isEmpty) return undefined
    this.#parts.append(line)
    return this.#parts.isFull ? this.#parts.flush() : undefined
  }

  async #supply(item: ItemInput, need: ItemNeed, position: number): Promise<void> {
    if (need.needs === 'checkpoint') {
      await this.#checkpoints.resolve(need.reference)
      return this.#write(item, position)
    }
    return this.#write(item, position, await examinePictures(need.item, this.#request.pictures, need.task))
  }

  #refuse(problems: readonly Problem[], position: number): void {
    if (problems.length === 0) throw new Error('an item was refused without a reason')
    for (const problem of problems) this.problems.add(this.#request.locate(problem, position))
  }

  /**
   * Writes what is left and then batch.json.
   * @throws DarkroomError INVALID_REQUEST with every problem, STORE_UNAVAILABLE; AlreadyClaimed; the caller then discards
   */
  async accept(): Promise<BatchDocument> {
    this.assertSound()
    await this.#request.pictures.keepDefaults()
    const parts = await this.#parts.finish()
    const {
      tenant,
      metadata,
      traceparent,
      now,
      claim: wanted,
      isInteractive,
      expiresAt,
      webhook,
      approveAfter,
      tellQuota,
    } = this.#request
    const document: BatchDocument = {
      id: this.batchId,
      tenant,
      createdAt: now.toISOString(),
      itemCount: this.#itemCount,
      ...this.#lines.images.fields,
      checkpoints: this.#checkpoints.pins,
      parts,
      metadata,
      traceparent,
      ...(isInteractive && { isInteractive }),
      ...(expiresAt !== undefined && { expiresAt }),
      ...(webhook !== undefined && { webhook }),
      ...(approveAfter !== undefined && { approveAfter }),
    }
    const { store, tenants } = this.#rules
    const { imagesPerDay } = termsOf(tenants, tenant)
    if (imagesPerDay !== null) {
      const id = wanted === null ? this.batchId : sha256Hex(wanted.key)
      this.#asked = { tenant, id, images: document.imageCount, now }
      await askForImages(store, imagesPerDay, this.#asked, tellQuota)
    }
    await noteEndToTell(store, document)
    if (wanted !== null) {
      this.#mayBeClaimed = true
      const outcome = { kind: 'accepted', fingerprint: wanted.fingerprint(), document } as const
      await claim(store, wanted.key, outcome).catch((reason: unknown) => {
        if (reason instanceof AlreadyClaimed) {
          this.#mayBeClaimed = false
          // The images are those of the other.
          this.#asked = null
        }
        throw reason
      })
    }
    if ((await writeBatch(store, document)) === 'exists' && wanted === null)
      throw new Error(`there is a batch ${this.batchId} already`)
    return document
  }

  /** @throws DarkroomError INVALID_REQUEST with every problem */
  assertSound(): void {
    if (this.#itemCount === 0 && this.problems.isEmpty) {
      this.problems.add({ field: 'items', message: 'the batch has no items: send at least one' })
    }
    const { approveAfter } = this.#request
    if (approveAfter !== undefined && approveAfter >= this.#itemCount && this.problems.isEmpty) {
      const message = `is ${approveAfter}, and the batch has ${this.#itemCount} items: want fewer, so that some are left to say yes to`
      this.problems.add({ field: 'approveAfter', message })
    }
    if (!this.problems.isEmpty) throw this.refusal()
  }

  refusal(): DarkroomError {
    const { list, isFull } = this.problems
    const count = isFull
      ? `${list.length} or more problems`
      : list.length === 1
        ? 'a problem'
        : `${list.length} problems`
    return new DarkroomError('INVALID_REQUEST', `the batch has ${count}; nothing was stored`, { problems: list })
  }

  /**
   * Leaves nothing in the store: batch.json first, as its write may have arrived although it was not answered. Where a claim may
   * have been written, whoever finds it needs the parts: then they stay.
   */
  async discard(): Promise<void> {
    if (this.#mayBeClaimed) return
    const { store } = this.#rules
    try {
      await store.delete(keys.batch(this.batchId))
      if (this.#request.webhook !== undefined) await store.delete(keys.webhookPending(this.batchId))
      await this.#parts.discard()
    } finally {
      if (this.#asked !== null) await giveImagesBack(store, this.#asked)
    }
  }
}
