import type { InputPicture, InputPictures } from '../pictures/input-pictures.ts'
import { examinePictures } from './item-pictures.ts'
import type { ExaminedPictures } from './item-pictures.ts'
import type { ItemInput } from './item-schema.ts'

/** One batch's view of the pictures: those of its defaults are examined once, and stored when the whole batch is fine. */
export class BatchPictures {
  readonly #pictures: InputPictures
  readonly #tenant: string
  readonly #ofDefaults = new Map<string, InputPicture>()

  constructor(pictures: InputPictures, tenant: string) {
    this.#pictures = pictures
    this.#tenant = tenant
  }

  /** What is known of a picture; undefined for one that must be examined first. */
  get(reference: string): InputPicture | undefined {
    return this.#ofDefaults.get(reference) ?? this.#pictures.get(this.#tenant, reference)
  }

  /** @throws DarkroomError as `InputPictures.examine` */
  examine(reference: string): Promise<InputPicture> {
    return this.#pictures.examine(this.#tenant, reference)
  }

  /** @throws DarkroomError STORE_UNAVAILABLE */
  async examineDefaults(defaults: ItemInput): Promise<ExaminedPictures['problems']> {
    const { pictures, problems } = await examinePictures(defaults, this)
    for (const [field, picture] of Object.entries(pictures))
      this.#ofDefaults.set(defaults[field as keyof typeof pictures]!, picture)
    return problems
  }

  /** @throws DarkroomError STORE_UNAVAILABLE */
  async keep(pictures: ExaminedPictures['pictures']): Promise<void> {
    for (const picture of Object.values(pictures)) await this.#pictures.keep(picture)
  }

  /** @throws DarkroomError STORE_UNAVAILABLE */
  async keepDefaults(): Promise<void> {
    await this.keep(Object.fromEntries(this.#ofDefaults))
  }
}
