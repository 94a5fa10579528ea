import { useEffect, useRef, useState } from 'preact/hooks'
import { call, pictureUrl } from './api.ts'
import type { Batch, Item, Preview } from './api.ts'
import { useSize } from './hooks.ts'

const PAGE = 100
const CELL = 112
const GAP = 8
/** Rows above and below the window that are kept too. */
const AHEAD = 2
const AGAIN_MS = 2_000

/**
 * Every item of a batch as a cell with its first picture. Only the rows in sight are there, and only their pages are asked for, so
 * that a million items cost what a screenful costs.
 */
export function ItemGrid(props: { batch: Batch; previews: ReadonlyMap<number, Preview> }) {
  const { batch, previews } = props
  const { element, width } = useSize<HTMLDivElement>()
  const [view, setView] = useState({ top: 0, height: 800 })
  const columns = Math.max(1, Math.floor((width + GAP) / (CELL + GAP)))
  const rows = Math.ceil(batch.itemCount / columns)
  const rowHeight = CELL + GAP
  useEffect(() => {
    const look = (): void => {
      const box = element.current?.getBoundingClientRect()
      if (box !== undefined) setView({ top: Math.max(0, -box.top), height: innerHeight })
    }
    look()
    addEventListener('scroll', look, { passive: true })
    addEventListener('resize', look)
    return () => {
      removeEventListener('scroll', look)
      removeEventListener('resize', look)
    }
  }, [width])
  const firstRow = Math.max(0, Math.floor(view.top / rowHeight) - AHEAD)
  const lastRow = Math.min(rows, Math.ceil((view.top + view.height) / rowHeight) + AHEAD)
  const [from, to] = [firstRow * columns, Math.min(batch.itemCount, lastRow * columns)]
  const items = useItems(batch, from, to)
  const cells = []
  for (let index = from; index < to; index++)
    cells.push(
      <Cell key={index} batchId={batch.id} index={index} item={items.get(index)} preview={previews.get(index)} />,
    )
  return (
    <div ref={element} class="grid-space" style={{ height: `${rows * rowHeight}px` }}>
      <ul
        class="grid"
        aria-label={`Items ${from} to ${to - 1} of ${batch.itemCount}`}
        style={{ transform: `translateY(${firstRow * rowHeight}px)`, gridTemplateColumns: `repeat(${columns}, 1fr)` }}
      >
        {cells}
      </ul>
    </div>
  )
}

function Cell(props: { batchId: string; index: number; item: Item | undefined; preview: Preview | undefined }) {
  const { batchId, index, item, preview } = props
  const image = item?.images[0]
  const state = item?.state ?? 'queued'
  const prompt = item?.request.prompt ?? ''
  return (
    <li>
      <a class={`cell ${state}`} href={`#/batches/${batchId}?item=${index}`} title={prompt || item?.customId}>
        {image !== undefined ? (
          <img src={pictureUrl(image.url)} alt={prompt || `item ${index}`} loading="lazy" decoding="async" />
        ) : preview !== undefined && state !== 'failed' ? (
          <>
            <img class="developing" src={preview.picture} alt={`${prompt || `item ${index}`}, on its way`} />
            <progress value={preview.step} max={preview.steps} aria-label="steps" />
          </>
        ) : (
          <span class="blank">{state}</span>
        )}
        {(item?.images.length ?? 0) > 1 && <b class="more">×{item!.images.length}</b>}
      </a>
    </li>
  )
}

/** Items `from` to `to`, page by page; what has not ended is asked for again. */
function useItems(batch: Batch, from: number, to: number): ReadonlyMap<number, Item> {
  const [items, setItems] = useState<ReadonlyMap<number, Item>>(new Map())
  const asked = useRef(new Map<number, number>())
  const [tick, setTick] = useState(0)
  const pages: number[] = []
  for (let page = Math.floor(from / PAGE); page * PAGE < to; page++) pages.push(page)
  useEffect(() => {
    if (batch.endedAt !== null) return undefined
    const timer = setInterval(() => setTick((n) => n + 1), AGAIN_MS)
    return () => clearInterval(timer)
  }, [batch.endedAt])
  useEffect(() => {
    const stop = new AbortController()
    const isEnded = batch.endedAt !== null
    for (const page of pages) {
      const indices = Array.from({ length: Math.min(PAGE, batch.itemCount - page * PAGE) }, (_, i) => page * PAGE + i)
      const isDone = indices.every((index) => !['queued', 'running', undefined].includes(items.get(index)?.state))
      const last = asked.current.get(page) ?? 0
      if (isDone || (!isEnded && performance.now() - last < AGAIN_MS / 2 && last > 0)) continue
      if (isEnded && last === Infinity) continue
      asked.current.set(page, isEnded ? Infinity : performance.now())
      const query = { limit: PAGE, cursor: String(page * PAGE) }
      call('get', '/api/v1/batches/{id}/items', { params: { id: batch.id }, query, signal: stop.signal }).then(
        (found) =>
          setItems((before) => new Map([...before, ...found.items.map((item) => [item.index, item] as const)])),
        () => asked.current.delete(page),
      )
    }
    return () => stop.abort()
  }, [pages.join(), tick, batch.endedAt])
  return items
}
