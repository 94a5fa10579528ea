import { useEffect, useRef, useState } from 'preact/hooks'
import { call, follow, pictureUrl } from '../api.ts'
import type { Item, Preview } from '../api.ts'
import { Card, Empty, Field, Page, Shown, Trouble } from '../components.tsx'
import { schedulerName, seconds } from '../format.ts'
import { checkpointOf, FIRST_WANTED, itemOf, RequestFields, SchedulerOptions, useChoices } from '../request-form.tsx'
import type { Choices } from '../request-form.tsx'

const PREVIEWS = 12

interface Shot {
  readonly batchId: string
  readonly item: Item
}

export function Playground() {
  const choices = useChoices()
  return (
    <Page title="Playground" lead="One picture, while it comes into being.">
      <Shown asked={choices}>{(found) => <Bench choices={found} />}</Shown>
    </Page>
  )
}

function Bench(props: { choices: Choices }) {
  const { choices } = props
  const [wanted, setWanted] = useState(FIRST_WANTED)
  const [scheduler, setScheduler] = useState('')
  const [steps, setSteps] = useState(30)
  const [preview, setPreview] = useState<Preview | null>(null)
  const [shots, setShots] = useState<readonly Shot[]>([])
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<Error | null>(null)
  const running = useRef<AbortController | null>(null)
  useEffect(() => () => running.current?.abort(), [])
  const checkpoint = checkpointOf(choices, wanted)

  const render = async (): Promise<void> => {
    if (checkpoint === undefined) return
    const stop = new AbortController()
    running.current = stop
    setBusy(true)
    setError(null)
    setPreview(null)
    try {
      const item = {
        ...itemOf(wanted, checkpoint),
        numInferenceSteps: steps,
        previewEvery: Math.max(1, Math.floor(steps / PREVIEWS)),
        ...(scheduler !== '' && { scheduler }),
      }
      const { id } = await call('post', '/api/v1/batches', {
        body: { items: [item], metadata: { from: 'playground' } },
      })
      await follow(id, stop.signal, { onProgress: () => {}, onPreview: setPreview })
      const { items } = await call('get', '/api/v1/batches/{id}/items', { params: { id }, query: { limit: 1 } })
      const [rendered] = items
      if (rendered?.error) throw new Error(rendered.error.message)
      if (rendered?.state === 'rendered') setShots((before) => [{ batchId: id, item: rendered }, ...before])
      setPreview(null)
    } catch (reason) {
      if (!stop.signal.aborted) setError(reason as Error)
    } finally {
      setBusy(false)
    }
  }
  const newest = shots[0]?.item
  return (
    <div class="columns bench">
      <Card title="Request">
        <form
          class="fields"
          onSubmit={(event) => {
            event.preventDefault()
            void render()
          }}
        >
          <RequestFields wanted={wanted} choices={choices} onWanted={setWanted} />
          <Field label="Scheduler">
            <select value={scheduler} onChange={(event) => setScheduler(event.currentTarget.value)}>
              <option value="">the checkpoint's own</option>
              <SchedulerOptions schedulers={choices.schedulers} />
            </select>
          </Field>
          <Field label="Steps">
            <input
              type="number"
              min={1}
              max={1000}
              value={steps}
              onInput={(event) => setSteps(event.currentTarget.valueAsNumber || 1)}
            />
          </Field>
          <button type="submit" class="primary" disabled={isBusy || checkpoint === undefined}>
            {isBusy ? 'Rendering …' : 'Render'}
          </button>
        </form>
        {error !== null && <Trouble error={error} />}
      </Card>
      <Card title="Picture" note={newest?.seconds != null && !isBusy ? seconds(newest.seconds) : undefined}>
        <div class="easel" aria-live="polite">
          {isBusy && preview !== null ? (
            <>
              <img
                class="large developing"
                src={preview.picture}
                alt={`On its way: step ${preview.step} of ${preview.steps}`}
              />
              <progress value={preview.step} max={preview.steps} aria-label="Steps" />
            </>
          ) : isBusy ? (
            <p class="quiet loading">Waiting for a worker …</p>
          ) : newest?.images[0] !== undefined ? (
            <img class="large" src={pictureUrl(newest.images[0].url)} alt={newest.request.prompt} />
          ) : (
            <Empty>Nothing rendered yet.</Empty>
          )}
        </div>
        {shots.length > 1 && (
          <ul class="history" aria-label="Rendered before">
            {shots.slice(1).map(({ batchId, item }) => (
              <li key={batchId}>
                <a
                  href={`#/batches/${batchId}?item=0`}
                  title={`${item.request.prompt} · ${schedulerName(item.request.scheduler)}`}
                >
                  <img src={pictureUrl(item.images[0]!.url)} alt={item.request.prompt} />
                </a>
              </li>
            ))}
          </ul>
        )}
      </Card>
    </div>
  )
}
