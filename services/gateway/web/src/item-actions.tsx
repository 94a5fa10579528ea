import { useState } from 'preact/hooks'
import { call } from './api.ts'
import type { Batch, Item } from './api.ts'
import { Trouble } from './components.tsx'
import { isAmong } from './format.ts'

/** What may be done with one item: of an open batch to pause or cancel it, of an ended one to render again what it left. */
export function ItemActions(props: { batch: Batch; item: Item; onBatch: (batch: Batch) => void }) {
  const { batch, item, onBatch } = props
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<Error | null>(null)
  const params = { id: batch.id }
  const items = String(item.index)
  const act = (action: () => Promise<void>) => (): void => {
    setBusy(true)
    setError(null)
    void action()
      .catch((reason: unknown) => setError(reason as Error))
      .finally(() => setBusy(false))
  }
  const change = (body: { cancelItems?: string; pauseItems?: string; resumeItems?: string }) =>
    act(async () => onBatch(await call('patch', '/api/v1/batches/{id}', { params, body })))
  const retry = act(async () => {
    const { id } = await call('post', '/api/v1/batches/{id}/retry', { params, query: { items } })
    location.hash = `#/batches/${id}`
  })
  const isPaused = isAmong(batch.pausedItems, item.index)
  const isCancelled = isAmong(batch.cancelledItems, item.index)
  const isOpen = batch.endedAt === null && !isCancelled && ['queued', 'running'].includes(item.state)
  const isLeft = batch.endedAt !== null && ['failed', 'cancelled'].includes(item.state)
  if (!isOpen && !isLeft && error === null) return null
  return (
    <>
      <div class="actions">
        {isOpen && (item.state === 'queued' || isPaused) && (
          <button
            type="button"
            disabled={isBusy}
            onClick={change(isPaused ? { resumeItems: items } : { pauseItems: items })}
          >
            {isPaused ? 'Resume item' : 'Pause item'}
          </button>
        )}
        {isOpen && (
          <button type="button" class="danger" disabled={isBusy} onClick={change({ cancelItems: items })}>
            Cancel item
          </button>
        )}
        {isLeft && (
          <button type="button" disabled={isBusy} onClick={retry}>
            Render it again
          </button>
        )}
      </div>
      {error !== null && <Trouble error={error} />}
    </>
  )
}
