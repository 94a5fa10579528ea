import { useState } from 'preact/hooks'
import { call } from '../api.ts'
import { Card, Empty, Page, Progress, Shown, BatchState } from '../components.tsx'
import { ago, count, rate } from '../format.ts'
import { useAsked } from '../hooks.ts'

const EVERY_MS = 3_000
const LIMIT = 25

export function Batches() {
  const [cursors, setCursors] = useState<readonly string[]>([])
  const cursor = cursors.at(-1)
  const asked = useAsked(
    (signal) =>
      call('get', '/api/v1/batches', { query: { limit: LIMIT, ...(cursor !== undefined && { cursor }) }, signal }),
    EVERY_MS,
    cursor,
  )
  return (
    <Page title="Batches" lead="Newest first.">
      <Card>
        <Shown asked={asked}>
          {({ batches, nextCursor }) =>
            batches.length === 0 ? (
              <Empty>
                There is none yet. <a href="#/playground">Render a picture</a>, or submit a file with{' '}
                <code>darkroom submit prompts.jsonl</code>.
              </Empty>
            ) : (
              <>
                <div class="scroll" tabIndex={0} role="region" aria-label="Batches">
                  <table>
                    <thead>
                      <tr>
                        <th>Batch</th>
                        <th>State</th>
                        <th class="wide">Progress</th>
                        <th class="number">Items</th>
                        <th class="number">Failed</th>
                        <th class="number">Images/s</th>
                        <th class="number">Priority</th>
                        <th>Made</th>
                      </tr>
                    </thead>
                    <tbody>
                      {batches.map((batch) => (
                        <tr key={batch.id}>
                          <td>
                            <a href={`#/batches/${batch.id}`}>{batch.id}</a>
                          </td>
                          <td>
                            <BatchState batch={batch} />
                          </td>
                          <td>
                            <Progress batch={batch} />
                          </td>
                          <td class="number">{count(batch.itemCount)}</td>
                          <td class={`number ${batch.items.failed > 0 ? 'bad' : ''}`}>{count(batch.items.failed)}</td>
                          <td class="number">{batch.endedAt === null ? rate(batch.imagesPerSecond) : '–'}</td>
                          <td class="number">{batch.priority}</td>
                          <td>{ago(batch.createdAt)}</td>
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </div>
                <div class="pager">
                  <button
                    type="button"
                    disabled={cursors.length === 0}
                    onClick={() => setCursors(cursors.slice(0, -1))}
                  >
                    Newer
                  </button>
                  <button
                    type="button"
                    disabled={nextCursor === null}
                    onClick={() => nextCursor !== null && setCursors([...cursors, nextCursor])}
                  >
                    Older
                  </button>
                </div>
              </>
            )
          }
        </Shown>
      </Card>
    </Page>
  )
}
