import { call, pictureUrl } from './api.ts'
import type { Batch, Item, Preview } from './api.ts'
import { Drawer, Shown } from './components.tsx'
import { bytes, checkpointName, seconds } from './format.ts'
import { useAsked } from './hooks.ts'
import { ItemActions } from './item-actions.tsx'

const EVERY_MS = 2_000

/** One item with every parameter, its pictures, and why it waits. */
export function ItemDrawer(props: {
  batch: Batch
  index: number
  preview: Preview | undefined
  onBatch: (batch: Batch) => void
  onClose: () => void
}) {
  const { batch, index, preview } = props
  const batchId = batch.id
  const asked = useAsked(
    async (signal) => {
      const query = { limit: 1, cursor: String(index) }
      const { items } = await call('get', '/api/v1/batches/{id}/items', { params: { id: batchId }, query, signal })
      return items[0] ?? null
    },
    EVERY_MS,
    `${batchId} ${index}`,
  )
  return (
    <Drawer title={asked.value?.customId ?? `Item ${index}`} onClose={props.onClose}>
      <Shown asked={asked}>
        {(item) =>
          item === null ? (
            <p>There is no item {index}.</p>
          ) : (
            <>
              {item.images.length === 0 && preview !== undefined && (
                <img class="large developing" src={preview.picture} alt="On its way" />
              )}
              {item.images.map(({ name, url, seed, width, height, bytes: size }) => (
                <figure key={name}>
                  <a href={pictureUrl(url)} target="_blank" rel="noreferrer">
                    <img class="large" src={pictureUrl(url)} alt={item.request.prompt} />
                  </a>
                  <figcaption class="quiet">
                    seed {seed} · {width}×{height} · {bytes(size)}
                  </figcaption>
                </figure>
              ))}
              {item.error !== null && (
                <p class="trouble">
                  {item.error.code}: {item.error.message}
                </p>
              )}
              {['queued', 'running'].includes(item.state) && <Explanation batchId={batchId} index={index} />}
              <ItemActions batch={batch} item={item} onBatch={props.onBatch} />
              {item.warnings.map((warning) => (
                <p key={warning} class="warning">
                  {warning}
                </p>
              ))}
              <Parameters item={item} />
            </>
          )
        }
      </Shown>
    </Drawer>
  )
}

function Explanation(props: { batchId: string; index: number }) {
  const { batchId: id, index } = props
  const asked = useAsked(
    (signal) => call('get', '/api/v1/batches/{id}/items/{index}/explanation', { params: { id, index }, signal }),
    EVERY_MS,
    `${id} ${index}`,
  )
  if (asked.value === null) return null
  const { message, remedy } = asked.value
  return (
    <p class="explanation">
      {message}. {remedy !== '' && <em>{remedy}.</em>}
    </p>
  )
}

function Parameters(props: { item: Item }) {
  const { request, steps, seconds: took, state, shardId } = props.item
  const rows: [string, unknown][] = [
    ['state', state],
    ...Object.entries(request).filter(([, value]) => value !== '' && value !== null),
    ['model calls', steps],
    ['device time', took === null ? null : seconds(took)],
    ['shard', shardId],
  ]
  return (
    <dl class="parameters">
      {rows
        .filter(([, value]) => value !== null && value !== undefined)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{name === 'checkpoint' ? checkpointName(String(value)) : shown(value)}</dd>
          </div>
        ))}
    </dl>
  )
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
