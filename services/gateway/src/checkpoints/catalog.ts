import { DarkroomError, readCheckpointConfigs, readManifest, resolveCheckpoint } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { describeCheckpoint } from '@darkroom/diffusion'
import { keys } from '@darkroom/proto'
import { KnownCheckpoint } from './known-checkpoint.ts'

const MAX_KNOWN = 256
const MAX_NAMES = 1000

/** What the gateway knows of checkpoints. A pin's description never changes, so it is read once; a tag is read anew each time. */
export class CheckpointCatalog {
  readonly #store: ObjectStore
  readonly #known = new Map<string, Promise<KnownCheckpoint>>()

  constructor(store: ObjectStore) {
    this.#store = store
  }

  /** @throws DarkroomError NOT_FOUND, INVALID_REQUEST (no reference), CHECKPOINT_INVALID, CHECKPOINT_MISMATCH */
  async resolve(reference: string): Promise<KnownCheckpoint> {
    return this.describe(await resolveCheckpoint(this.#store, reference))
  }

  /** @throws DarkroomError NOT_FOUND, CHECKPOINT_INVALID (no pipeline that the farm runs), CHECKPOINT_MISMATCH */
  describe(pin: string): Promise<KnownCheckpoint> {
    let known = this.#known.get(pin)
    if (known === undefined) {
      known = this.#read(pin)
      known.catch(() => this.#known.delete(pin))
      if (this.#known.size === MAX_KNOWN) this.#known.delete(this.#known.keys().next().value!)
      this.#known.set(pin, known)
    }
    return known
  }

  /** Names that have a tag. */
  async names(): Promise<readonly string[]> {
    const names: string[] = []
    for await (const prefix of this.#store.listPrefixes(keys.checkpointTags)) {
      names.push(prefix.slice(keys.checkpointTags.length, -1))
      if (names.length === MAX_NAMES) break
    }
    return names
  }

  async #read(pin: string): Promise<KnownCheckpoint> {
    const configs = await readCheckpointConfigs(this.#store, await readManifest(this.#store, pin))
    try {
      return new KnownCheckpoint(pin, describeCheckpoint(configs))
    } catch (reason) {
      const message = reason instanceof Error ? reason.message : String(reason)
      throw new DarkroomError('CHECKPOINT_INVALID', `${pin}: ${message}`, { cause: reason })
    }
  }
}
