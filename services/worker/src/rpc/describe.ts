import type { ServiceImpl } from '@darkroom/chassis'
import type { Worker, WorkerService } from '@darkroom/proto'

/** The worker as it is now: device, checkpoints in memory, what runs. */
export function describe(current: () => Worker): ServiceImpl<typeof WorkerService>['describe'] {
  return async () => ({ worker: current() })
}
