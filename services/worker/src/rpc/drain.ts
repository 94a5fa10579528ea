import type { ServiceImpl } from '@darkroom/chassis'
import type { WorkerService } from '@darkroom/proto'

/** Takes nothing new from now on; answers when what ran has ended. */
export function drain(run: () => Promise<void>): ServiceImpl<typeof WorkerService>['drain'] {
  return async () => {
    await run()
    return {}
  }
}
