import cliProgress from 'cli-progress'
import type { BatchJson } from './gateway-client.ts'
import { duration } from './progress.ts'

const BATCH = '{name}  {bar}  {value}/{total} items  {rate} images/s  {left}'
const SCHEDULER = '{name}  {bar}  {done} images  {rate} images/s  {each} of a device each'
const WIDTH = 30

/**
 * A bar for the batch, and below it one for each of its schedulers: images that are rendered, of those that it has to make.
 * Where nobody counted these, a scheduler has a bar once it has images: its share of all that the batch will have.
 */
export class ProgressBars implements Disposable {
  readonly #bars: cliProgress.MultiBar
  readonly #shown = new Map<string, cliProgress.SingleBar>()

  constructor(terminal: NodeJS.WriteStream) {
    this.#bars = new cliProgress.MultiBar(
      { stream: terminal, hideCursor: true, barsize: WIDTH, linewrap: false },
      cliProgress.Presets.shades_classic,
    )
  }

  show(batch: BatchJson): void {
    const { id, itemCount, imageCount, items, imagesPerSecond } = batch
    const schedulers = batch.schedulers.toSorted((a, b) => (a.scheduler < b.scheduler ? -1 : 1))
    const names = [id, ...schedulers.map(({ scheduler }) => scheduler)]
    const width = Math.max(...names.map(({ length }) => length))
    const left = leftOf(batch)
    this.#draw('', BATCH, itemCount, itemCount - items.open, {
      name: id.padEnd(width),
      rate: imagesPerSecond.toFixed(2),
      left,
    })
    for (const { scheduler, images, imageCount: asked, imagesPerSecond: rate, seconds } of schedulers) {
      this.#draw(scheduler, SCHEDULER, asked ?? imageCount, images, {
        name: scheduler.padEnd(width),
        done: asked ? `${images}/${asked}` : images,
        rate: rate?.toFixed(2) ?? '…',
        each: images === 0 ? '…' : `${(seconds / images).toFixed(2)} s`,
      })
    }
    this.#bars.update()
  }

  [Symbol.dispose](): void {
    this.#bars.stop()
  }

  #draw(key: string, format: string, total: number, value: number, payload: object): void {
    const bar = this.#shown.get(key)
    if (bar === undefined) this.#shown.set(key, this.#bars.create(total, value, payload, { format }))
    else bar.update(value, payload)
  }
}

function leftOf({ id, items, state, approval, etaSeconds }: BatchJson): string {
  if (items.open === 0) return state
  if (approval?.state === 'waiting') return `waits for: darkroom approve ${id}`
  return `ETA ${etaSeconds === null ? '…' : duration(etaSeconds)}`
}
