import { call } from '../api.ts'
import { Card, Empty, Page, Shown } from '../components.tsx'
import { bytes, schedulerName } from '../format.ts'
import { useAsked } from '../hooks.ts'

export function Checkpoints() {
  const asked = useAsked((signal) => call('get', '/api/v1/checkpoints', { signal }), null)
  return (
    <Page title="Checkpoints" lead="Pinned by the digest of every file.">
      <Card>
        <Shown asked={asked}>
          {({ checkpoints }) =>
            checkpoints.length === 0 ? (
              <Empty>
                None is in the bucket. <code>darkroom checkpoints import owner/name@COMMIT</code> brings one.
              </Empty>
            ) : (
              <div class="scroll" tabIndex={0} role="region" aria-label="Checkpoints">
                <table>
                  <thead>
                    <tr>
                      <th>Name</th>
                      <th>Tags</th>
                      <th>Pipeline</th>
                      <th>Tasks</th>
                      <th>Size</th>
                      <th>Scheduler</th>
                      <th class="number">Weight</th>
                      <th>Pin</th>
                    </tr>
                  </thead>
                  <tbody>
                    {checkpoints.map(({ name, tags, pin, bytes: size, description, problem }) => (
                      <tr key={pin}>
                        <td>
                          <b>{name}</b>
                        </td>
                        <td>{tags.join(', ') || '–'}</td>
                        {description === null ? (
                          <td colSpan={4} class="bad">
                            {problem}
                          </td>
                        ) : (
                          <>
                            <td>{description.pipelineClass}</td>
                            <td>{description.tasks.join(', ')}</td>
                            <td>
                              {description.defaultWidth}×{description.defaultHeight}
                            </td>
                            <td>{schedulerName(description.scheduler)}</td>
                          </>
                        )}
                        <td class="number">{bytes(size)}</td>
                        <td>
                          <code title={pin}>{pin.split(':').at(-1)!.slice(0, 12)}</code>
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )
          }
        </Shown>
      </Card>
    </Page>
  )
}
