import { advanceLane, isFinished, rowsOf } from '@darkroom/diffusion'
import { ActiveJob } from '../../services/worker/src/engine/job.ts'
import type { RenderRequest } from '../../services/worker/src/engine/messages.ts'
import type { Model } from '../../services/worker/src/engine/model.ts'

/**
 * What batching by step is compared with: a batch that stays together until its longest image is denoised.
 * @param rows of each call; `left`: only those of the images that are not done
 */
export async function denoiseTogether(
  model: Model,
  requests: readonly RenderRequest[],
  rows: number | 'left',
): Promise<readonly ActiveJob[]> {
  const jobs = await Promise.all(
    requests.map((request, job) => ActiveJob.open({ job, pin: 'together', request }, model, undefined)),
  )
  for (let left = jobs; left.length > 0; left = left.filter(({ lane }) => !isFinished(lane))) {
    const needed = left.reduce((sum, { lane }) => sum + rowsOf(lane.spec, lane.request), 0)
    const padTo = rows === 'left' ? needed : rows
    const { value: output } = await model.predict(
      left.map(({ lane }) => lane),
      left.map(({ conditioning }) => conditioning),
      padTo,
    )
    let offset = 0
    for (const { lane } of left) {
      advanceLane(lane, output, offset)
      offset += (rowsOf(lane.spec, lane.request) * output.length) / padTo
    }
  }
  return jobs
}
