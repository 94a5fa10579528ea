import { DarkroomError } from '@darkroom/chassis'
import type { CheckpointCatalog } from '../checkpoints/catalog.ts'
import type { KnownCheckpoint } from '../checkpoints/known-checkpoint.ts'
import { suggestion } from '../field-problems.ts'

/** One batch's view of the checkpoints: a reference is resolved once, so that all its items get one pin. */
export class BatchCheckpoints {
  readonly #catalog: CheckpointCatalog
  readonly #allowed: readonly string[] | null
  readonly #resolved = new Map<string, KnownCheckpoint | string>()
  #names: Promise<readonly string[]> | null = null

  /** @param allowed names that the batch's tenant may use; null for all */
  constructor(catalog: CheckpointCatalog, allowed: readonly string[] | null) {
    this.#catalog = catalog
    this.#allowed = allowed
  }

  /** The checkpoint; why there is none, as a sentence; or undefined where `resolve` was not asked yet. */
  get(reference: string): KnownCheckpoint | string | undefined {
    return this.#resolved.get(reference)
  }

  async resolve(reference: string): Promise<void> {
    this.#resolved.set(reference, await this.#resolve(reference))
  }

  async #resolve(reference: string): Promise<KnownCheckpoint | string> {
    const name = reference.split(/[:@]/)[0]!
    if (this.#allowed !== null && !this.#allowed.includes(name)) {
      return `there is no checkpoint '${name}' for your tenant${suggestion(name, this.#allowed)}`
    }
    try {
      return await this.#catalog.resolve(reference)
    } catch (reason) {
      const error = DarkroomError.from(reason)
      if (error.code === 'NOT_FOUND') {
        return `${error.message}${suggestion(name, await (this.#names ??= this.#catalog.names()))}`
      }
      if (error.code === 'INVALID_REQUEST' || error.code.startsWith('CHECKPOINT_')) return error.message
      throw error
    }
  }

  /** Pins of every checkpoint that was named and exists. */
  get pins(): readonly string[] {
    const known = [...this.#resolved.values()].filter((entry) => typeof entry !== 'string')
    return [...new Set(known.map(({ pin }) => pin))].sort()
  }
}
