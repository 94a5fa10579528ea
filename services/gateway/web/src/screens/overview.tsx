import { useEffect, useRef, useState } from 'preact/hooks'
import { call } from '../api.ts'
import type { BatchProgress, Worker } from '../api.ts'
import { colourOf, StackedChart } from '../chart.tsx'
import { Card, Empty, Figure, Page, Progress, Shown, BatchState } from '../components.tsx'
import { count, percent, rate, schedulerName, seconds } from '../format.ts'
import { useAsked } from '../hooks.ts'

const EVERY_MS = 2_000
const KEPT = 300
const LISTED = 50
/** Rates are over so many answers: shards end in bursts. */
const SMOOTHED = 8

/** What was seen at one time: images by scheduler, and busy seconds by worker, since the beginning. */
interface Sample {
  readonly time: number
  readonly images: Readonly<Record<string, number>>
  readonly busy: Readonly<Record<string, number>>
}

export function Overview(props: { isAdmin: boolean }) {
  const batches = useAsked((signal) => call('get', '/api/v1/batches', { query: { limit: LISTED }, signal }), EVERY_MS)
  const workers = useAsked(
    (signal) => (props.isAdmin ? call('get', '/api/v1/workers', { signal }) : Promise.resolve({ workers: [] })),
    EVERY_MS,
    String(props.isAdmin),
  )
  const samples = useSamples(batches.value?.batches, workers.value?.workers)
  const open = (batches.value?.batches ?? []).filter(({ endedAt }) => endedAt === null)
  const throughput = throughputOf(samples)
  const now = throughput.lines.reduce((sum, { values }) => sum + (values.at(-1) ?? 0), 0)
  const rendering = (workers.value?.workers ?? []).filter(({ state }) => state === 'rendering').length
  const [ended, failed] = (batches.value?.batches ?? []).reduce(
    ([all, bad], { items }) => [all + items.rendered + items.failed, bad + items.failed],
    [0, 0],
  )
  const waiting = open.reduce((sum, { items }) => sum + items.open, 0)
  return (
    <Page title="Overview" lead="What the farm does right now.">
      <dl class="figures">
        <Figure label="Images a second" value={rate(now)} note="since this page is open" />
        <Figure label="Items that wait" value={count(waiting)} note={`in ${open.length} open batches`} />
        {props.isAdmin && (
          <Figure
            label="Workers"
            value={`${rendering} / ${workers.value?.workers.length ?? 0}`}
            note="render, of all"
          />
        )}
        <Figure
          label="Failed items"
          value={ended === 0 ? '0 %' : percent(failed / ended)}
          note={`of the newest ${LISTED} batches`}
          isBad={failed > 0.05 * ended && failed > 0}
        />
      </dl>
      <Card title="Throughput per scheduler" note="images a second">
        {throughput.lines.length === 0 ? (
          <Empty>
            Nothing is being rendered. <a href="#/playground">Render something</a>
          </Empty>
        ) : (
          <>
            <StackedChart label="Images a second by scheduler" times={throughput.times} lines={throughput.lines} />
            <ul class="legend">
              {throughput.lines.map(({ label, values }, i) => (
                <li key={label}>
                  <i style={{ background: colourOf(i) }} /> {schedulerName(label)} <b>{rate(values.at(-1) ?? 0)}</b>
                </li>
              ))}
            </ul>
          </>
        )}
      </Card>
      <div class="columns">
        <Card title="Open batches">
          <Shown asked={batches}>
            {() =>
              open.length === 0 ? <Empty>None is open.</Empty> : <ul class="batch-list">{open.map(OpenBatch)}</ul>
            }
          </Shown>
        </Card>
        {props.isAdmin && (
          <Card title="Devices" note="share of the time that they compute">
            <Shown asked={workers}>
              {({ workers: all }) =>
                all.length === 0 ? (
                  <Empty>No worker is attached.</Empty>
                ) : (
                  <ul class="strips">
                    {all.map((worker) => (
                      <Strip key={worker.id} worker={worker} samples={samples} />
                    ))}
                  </ul>
                )
              }
            </Shown>
          </Card>
        )}
      </div>
    </Page>
  )
}

function OpenBatch(batch: BatchProgress) {
  const { id, items, itemCount, etaSeconds } = batch
  return (
    <li key={id}>
      <a href={`#/batches/${id}`}>{id}</a> <BatchState batch={batch} />
      <Progress batch={batch} />
      <span class="quiet">
        {count(itemCount - items.open)} of {count(itemCount)}
        {etaSeconds !== null && ` · ${seconds(etaSeconds)} left`}
      </span>
    </li>
  )
}

/** How busy a device was, as cells from left to right. */
function Strip(props: { worker: Worker; samples: readonly Sample[] }) {
  const { id, device, gpu } = props.worker
  const busy = props.samples.slice(1).flatMap((sample, i) => {
    const before = props.samples[i]!
    const [from, to] = [before.busy[id], sample.busy[id]]
    return from === undefined || to === undefined
      ? []
      : [Math.min(1, Math.max(0, (to - from) / (sample.time - before.time)))]
  })
  const cells = busy.slice(-48)
  const share =
    cells.slice(-SMOOTHED).reduce((sum, value) => sum + value, 0) / Math.max(1, Math.min(cells.length, SMOOTHED))
  return (
    <li>
      <span class="strip-name">
        {id} <small>{device?.name ?? device?.kind ?? ''}</small>
      </span>
      <span class="strip" aria-hidden="true">
        {cells.map((value, i) => (
          <i key={i} style={{ opacity: 0.12 + 0.88 * value }} />
        ))}
      </span>
      <b>{percent(gpu?.utilizationRatio ?? share)}</b>
    </li>
  )
}

function useSamples(
  batches: readonly BatchProgress[] | undefined,
  workers: readonly Worker[] | undefined,
): readonly Sample[] {
  const [samples, setSamples] = useState<readonly Sample[]>([])
  const seen = useRef(new Map<string, BatchProgress>())
  useEffect(() => {
    if (batches === undefined) return
    for (const batch of batches) seen.current.set(batch.id, batch)
    const images: Record<string, number> = {}
    for (const { schedulers } of seen.current.values())
      for (const one of schedulers) images[one.scheduler] = (images[one.scheduler] ?? 0) + one.images
    const busy = Object.fromEntries((workers ?? []).map(({ id, busySeconds }) => [id, busySeconds]))
    setSamples((before) => [...before, { time: Date.now() / 1000, images, busy }].slice(-KEPT))
  }, [batches])
  return samples
}

function throughputOf(samples: readonly Sample[]) {
  const first = samples[0]
  const names = [...new Set(samples.flatMap(({ images }) => Object.keys(images)))]
    .filter((name) => (samples.at(-1)?.images[name] ?? 0) > (first?.images[name] ?? 0))
    .toSorted()
  const times = samples.slice(1).map(({ time }) => time)
  const lines = names.map((label) => ({
    label,
    values: samples.slice(1).map(({ time, images }, i) => {
      const before = samples[Math.max(0, i + 1 - SMOOTHED)]!
      return ((images[label] ?? 0) - (before.images[label] ?? 0)) / (time - before.time)
    }),
  }))
  return { times, lines }
}
