import { DarkroomError, resolveCheckpoint } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import type { CheckpointShelf } from './checkpoint-shelf.ts'

/**
 * Loads checkpoints one after the other and keeps them until what it returns is disposed. A tag is looked up once.
 * @throws DarkroomError as `CheckpointShelf.hold`, naming the variable
 */
export async function keepCheckpoints(
  shelf: CheckpointShelf,
  store: ObjectStore,
  references: readonly string[],
): Promise<Disposable> {
  using held = new DisposableStack()
  for (const reference of references) {
    try {
      const pin = await resolveCheckpoint(store, reference)
      held.use(await shelf.hold(pin, new AbortController().signal))
    } catch (reason) {
      const { code, message } = DarkroomError.from(reason)
      throw new DarkroomError(code, `DARKROOM_WORKER_KEPT_CHECKPOINTS has '${reference}': ${message}`, {
        cause: reason,
      })
    }
  }
  return held.move()
}
