import { TASKS } from '@darkroom/diffusion'
import type { TaskName } from '@darkroom/diffusion'
import type { ItemInput } from './item-schema.ts'
import { hasSchedule, SCHEDULE_FIELDS } from './item-schedule.ts'
import type { Parameters } from './parameters.ts'

/** What a batch says for all its items, as far as each one's task takes it. */
export class ItemDefaults {
  readonly given: ItemInput
  readonly #isEmpty: boolean
  readonly #ofTask: Readonly<Record<string, ItemInput>>
  /** Without what spaces a schedule, for items that say that themselves. */
  readonly #unscheduled: Readonly<Record<string, ItemInput>>

  constructor(given: ItemInput, parameters: Parameters) {
    this.given = given
    this.#isEmpty = Object.keys(given).length === 0
    const without = (isLeftOut: (field: string) => boolean): ItemInput =>
      Object.fromEntries(Object.entries(given).filter(([field]) => !isLeftOut(field)))
    const forTasks = (fields: readonly string[]): Record<string, ItemInput> =>
      Object.fromEntries(
        Object.entries(TASKS).map(([task, { parameters: own }]) => [
          task,
          without((field) => fields.includes(field) || (field in parameters && !(field in own))),
        ]),
      )
    this.#ofTask = forTasks([])
    this.#unscheduled = forTasks(SCHEDULE_FIELDS)
  }

  /** The item with what it leaves out. */
  complete(item: ItemInput, task: TaskName): ItemInput {
    if (this.#isEmpty) return item
    return { ...(hasSchedule(item) ? this.#unscheduled : this.#ofTask)[task], ...item }
  }
}
