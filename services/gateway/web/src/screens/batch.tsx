import { useEffect, useState } from 'preact/hooks'
import { blobOf, call, follow } from '../api.ts'
import type { Batch, BatchProgress, Preview } from '../api.ts'
import { Bar, Card, Figure, Page, Progress, BatchState, Trouble } from '../components.tsx'
import { ago, checkpointName, count, rate, schedulerName, seconds } from '../format.ts'
import { ItemDrawer } from '../item-drawer.tsx'
import { ItemGrid } from '../item-grid.tsx'

export function BatchScreen(props: { id: string; query: URLSearchParams }) {
  const { id } = props
  const [batch, setBatch] = useState<Batch | null>(null)
  const [previews, setPreviews] = useState<ReadonlyMap<number, Preview>>(new Map())
  const [error, setError] = useState<Error | null>(null)
  useEffect(() => {
    const stop = new AbortController()
    void (async () => {
      try {
        const first = await call('get', '/api/v1/batches/{id}', { params: { id }, signal: stop.signal })
        setBatch(first)
        if (first.endedAt !== null) return
        await follow(id, stop.signal, {
          onProgress: (now) => setBatch((before) => (before === null ? null : { ...before, ...now })),
          onPreview: (preview) => setPreviews((before) => new Map(before).set(preview.item, preview)),
        })
      } catch (reason) {
        if (!stop.signal.aborted) setError(reason as Error)
      }
    })()
    return () => stop.abort()
  }, [id])
  const item = props.query.get('item')
  const close = (): void => {
    location.hash = `#/batches/${id}`
  }
  return (
    <Page
      title={id}
      lead={
        batch !== null && (
          <>
            <BatchState batch={batch} /> made {ago(batch.createdAt)} with{' '}
            {batch.checkpoints.map(checkpointName).join(', ')}
          </>
        )
      }
      actions={batch !== null && <Actions batch={batch} onBatch={setBatch} onError={setError} />}
    >
      {error !== null && <Trouble error={error} />}
      {batch !== null && (
        <>
          <Progress batch={batch} />
          {batch.approval?.state === 'waiting' && <Question batch={batch} onBatch={setBatch} onError={setError} />}
          <Figures batch={batch} />
          {batch.schedulers.length > 1 && <Schedulers batch={batch} />}
          <Card title="Items" note={count(batch.itemCount)}>
            <ItemGrid batch={batch} previews={previews} />
          </Card>
          {item !== null && /^\d+$/.test(item) && (
            <ItemDrawer
              batch={batch}
              index={Number(item)}
              preview={previews.get(Number(item))}
              onBatch={setBatch}
              onClose={close}
            />
          )}
        </>
      )}
    </Page>
  )
}

/** Of a batch whose first items are there: whether to go on. */
function Question(props: { batch: Batch; onBatch: (batch: Batch) => void; onError: (error: Error | null) => void }) {
  const { batch, onBatch, onError } = props
  const approve = (): void => {
    onError(null)
    const request = { params: { id: batch.id }, body: { approved: true as const } }
    void call('patch', '/api/v1/batches/{id}', request).then(onBatch, onError)
  }
  return (
    <div class="question" role="status">
      <p>
        The first {count(batch.approval!.afterItems)} items are there. The other {count(batch.items.open)} wait until
        you say so.
      </p>
      <button type="button" class="primary" onClick={approve}>
        Render the others
      </button>
    </div>
  )
}

function Figures(props: { batch: BatchProgress }) {
  const { items, itemCount, imagesRendered, imagesPerSecond, etaSeconds, endedAt, startedAt } = props.batch
  const took = endedAt === null || startedAt === null ? null : (Date.parse(endedAt) - Date.parse(startedAt)) / 1000
  return (
    <dl class="figures">
      <Figure label="Items" value={`${count(itemCount - items.open)} / ${count(itemCount)}`} note="have ended" />
      <Figure label="Images" value={count(imagesRendered)} />
      <Figure label="Failed" value={count(items.failed)} isBad={items.failed > 0} />
      {endedAt === null ? (
        <>
          <Figure label="Images a second" value={rate(imagesPerSecond)} />
          <Figure label="Left" value={seconds(etaSeconds)} note="at this rate" />
        </>
      ) : (
        <Figure label="Took" value={seconds(took)} />
      )}
    </dl>
  )
}

function Schedulers(props: { batch: BatchProgress }) {
  return (
    <Card title="By scheduler">
      <div class="scroll" tabIndex={0} role="region" aria-label="By scheduler">
        <table>
          <thead>
            <tr>
              <th>Scheduler</th>
              <th>Progress</th>
              <th class="number">Images</th>
              <th class="number">Images a second</th>
              <th class="number">Model calls</th>
              <th class="number">Device seconds an image</th>
            </tr>
          </thead>
          <tbody>
            {props.batch.schedulers.map(({ scheduler, images, imageCount, imagesPerSecond, steps, seconds: sum }) => (
              <tr key={scheduler}>
                <td>{schedulerName(scheduler)}</td>
                <td>
                  {imageCount !== null && (
                    <Bar
                      label={`Images of ${schedulerName(scheduler)} that are rendered`}
                      parts={{ rendered: images }}
                      total={imageCount}
                    />
                  )}
                </td>
                <td class="number">
                  {count(images)}
                  {imageCount !== null && ` / ${count(imageCount)}`}
                </td>
                <td class="number">{rate(imagesPerSecond)}</td>
                <td class="number">{count(steps)}</td>
                <td class="number">{seconds(images === 0 ? null : sum / images)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  )
}

function Actions(props: { batch: Batch; onBatch: (batch: Batch) => void; onError: (error: Error | null) => void }) {
  const { batch, onBatch, onError } = props
  const [isBusy, setBusy] = useState(false)
  const params = { id: batch.id }
  const act = (action: () => Promise<void>) => async () => {
    setBusy(true)
    onError(null)
    await action().catch((reason: unknown) => onError(reason as Error))
    setBusy(false)
  }
  const change = (body: { paused?: boolean; priority?: number }) =>
    act(async () => onBatch(await call('patch', '/api/v1/batches/{id}', { params, body })))
  const isOpen = batch.endedAt === null
  const hasLeft = batch.items.failed + batch.items.cancelled > 0
  return (
    <>
      {isOpen && (
        <>
          <label class="inline">
            Priority
            <input
              type="number"
              min={-1000}
              max={1000}
              value={batch.priority}
              onChange={(event) => void change({ priority: event.currentTarget.valueAsNumber || 0 })()}
            />
          </label>
          <button type="button" disabled={isBusy} onClick={() => void change({ paused: !batch.paused })()}>
            {batch.paused ? 'Resume' : 'Pause'}
          </button>
          <button
            type="button"
            class="danger"
            disabled={isBusy}
            onClick={() =>
              void act(async () => onBatch(await call('post', '/api/v1/batches/{id}/cancel', { params })))()
            }
          >
            Cancel
          </button>
        </>
      )}
      {!isOpen && hasLeft && (
        <button
          type="button"
          disabled={isBusy}
          onClick={() =>
            void act(async () => {
              const { id } = await call('post', '/api/v1/batches/{id}/retry', { params })
              location.hash = `#/batches/${id}`
            })()
          }
        >
          Render what is left
        </button>
      )}
      {!isOpen && (
        <>
          <Save path={`/api/v1/batches/${batch.id}/output.jsonl`} as={`${batch.id}.jsonl`} onError={onError}>
            output.jsonl
          </Save>
          <Save path={`/api/v1/batches/${batch.id}/contact-sheet`} as={`${batch.id}.png`} onError={onError}>
            Contact sheet
          </Save>
        </>
      )}
    </>
  )
}

/** A file to keep. A link could not send a key. */
function Save(props: {
  path: string
  as: string
  children: preact.ComponentChildren
  onError: (error: Error) => void
}) {
  const save = async (): Promise<void> => {
    const link = document.createElement('a')
    link.href = URL.createObjectURL(await blobOf(props.path))
    link.download = props.as
    link.click()
    URL.revokeObjectURL(link.href)
  }
  return (
    <button type="button" onClick={() => void save().catch((reason: unknown) => props.onError(reason as Error))}>
      {props.children}
    </button>
  )
}
