import { useEffect, useRef, useState } from 'preact/hooks'
import { call, follow, pictureUrl } from '../api.ts'
import type { BatchProgress, Item, Preview } from '../api.ts'
import { Card, Empty, Field, Page, Progress, Shown, Trouble } from '../components.tsx'
import { schedulerName, seconds } from '../format.ts'
import { checkpointOf, FIRST_WANTED, itemOf, RequestFields, useChoices } from '../request-form.tsx'
import type { Choices } from '../request-form.tsx'

const FIRST_SCHEDULERS = [
  'PNDMScheduler',
  'DDIMScheduler',
  'EulerDiscreteScheduler',
  'EulerAncestralDiscreteScheduler',
  'DPMSolverMultistepScheduler',
  'UniPCMultistepScheduler',
]
const AGAIN_MS = 1_000

/** A grid of cells: what was asked for, and what has come of it. */
interface Grid {
  readonly batchId: string
  readonly schedulers: readonly string[]
  readonly steps: readonly number[]
  /** In the operator's currency; null where none is set. */
  readonly pricePerSecond: number | null
}

export function Lab() {
  const choices = useChoices()
  return (
    <Page
      title="Scheduler lab"
      lead="One prompt and one seed across schedulers and steps: swap the scheduler, and see whether you notice."
    >
      <Shown asked={choices}>{(found) => <Bench choices={found} />}</Shown>
    </Page>
  )
}

function Bench(props: { choices: Choices }) {
  const { choices } = props
  const [wanted, setWanted] = useState(FIRST_WANTED)
  const [schedulers, setSchedulers] = useState<readonly string[]>(
    choices.schedulers.map(({ name }) => name).filter((name) => FIRST_SCHEDULERS.includes(name)),
  )
  const [stepsText, setStepsText] = useState('5, 10, 20, 40')
  const [grid, setGrid] = useState<Grid | null>(null)
  const [error, setError] = useState<Error | null>(null)
  const steps = [
    ...new Set(
      stepsText
        .split(/[\s,]+/)
        .map(Number)
        .filter((n) => Number.isInteger(n) && n > 0),
    ),
  ]
  const checkpoint = checkpointOf(choices, wanted)
  const cells = schedulers.length * steps.length

  const render = async (): Promise<void> => {
    if (checkpoint === undefined) return
    setError(null)
    try {
      const shared = itemOf(wanted, checkpoint)
      const items = schedulers.flatMap((scheduler) =>
        steps.map((numInferenceSteps) => ({
          ...shared,
          scheduler,
          numInferenceSteps,
          previewEvery: Math.max(1, Math.floor(numInferenceSteps / 4)),
          customId: `${scheduler}-${numInferenceSteps}`,
        })),
      )
      const { price, deviceSeconds } = await call('post', '/api/v1/quote', { body: { items } })
      const { id } = await call('post', '/api/v1/batches', { body: { items, metadata: { from: 'scheduler lab' } } })
      setGrid({ batchId: id, schedulers, steps, pricePerSecond: price === null ? null : price / deviceSeconds })
    } catch (reason) {
      setError(reason as Error)
    }
  }
  return (
    <>
      <Card title="Request">
        <form
          class="fields"
          onSubmit={(event) => {
            event.preventDefault()
            void render()
          }}
        >
          <RequestFields wanted={wanted} choices={choices} onWanted={setWanted} />
          <Field label="Steps" hint="several, with commas">
            <input value={stepsText} onInput={(event) => setStepsText(event.currentTarget.value)} />
          </Field>
          <fieldset class="chips">
            <legend>Schedulers</legend>
            {choices.schedulers.map(({ name }) => (
              <label key={name}>
                <input
                  type="checkbox"
                  checked={schedulers.includes(name)}
                  onChange={(event) =>
                    setSchedulers(
                      event.currentTarget.checked ? [...schedulers, name] : schedulers.filter((one) => one !== name),
                    )
                  }
                />
                <span>{schedulerName(name)}</span>
              </label>
            ))}
          </fieldset>
          <button type="submit" class="primary" disabled={cells === 0 || checkpoint === undefined}>
            Render {cells} pictures
          </button>
        </form>
        {error !== null && <Trouble error={error} />}
      </Card>
      {grid === null ? (
        <Card>
          <Empty>The grid comes here: a row for each scheduler, a column for each number of steps.</Empty>
        </Card>
      ) : (
        <LabGrid key={grid.batchId} grid={grid} />
      )}
    </>
  )
}

function LabGrid(props: { grid: Grid }) {
  const { batchId, schedulers, steps, pricePerSecond } = props.grid
  const [items, setItems] = useState<ReadonlyMap<number, Item>>(new Map())
  const [previews, setPreviews] = useState<ReadonlyMap<number, Preview>>(new Map())
  const [batch, setBatch] = useState<BatchProgress | null>(null)
  const askedAt = useRef(0)
  useEffect(() => {
    const stop = new AbortController()
    const ask = async (): Promise<void> => {
      askedAt.current = performance.now()
      const query = { limit: 1000 }
      const found = await call('get', '/api/v1/batches/{id}/items', { params: { id: batchId }, query })
      if (!stop.signal.aborted) setItems(new Map(found.items.map((item) => [item.index, item])))
    }
    void follow(batchId, stop.signal, {
      onProgress: (now) => {
        setBatch(now)
        if (now.endedAt !== null || performance.now() - askedAt.current > AGAIN_MS) void ask()
      },
      onPreview: (preview) => setPreviews((before) => new Map(before).set(preview.item, preview)),
    }).then(ask)
    return () => stop.abort()
  }, [batchId])
  return (
    <Card title="Grid" note={<a href={`#/batches/${batchId}`}>{batchId}</a>}>
      {batch !== null && <Progress batch={batch} />}
      <div class="scroll" tabIndex={0} role="region" aria-label="Pictures by scheduler and steps">
        <table class="lab">
          <thead>
            <tr>
              <th>Scheduler</th>
              {steps.map((n) => (
                <th key={n}>{n} steps</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {schedulers.map((scheduler, row) => (
              <tr key={scheduler}>
                <th scope="row">{schedulerName(scheduler)}</th>
                {steps.map((n, column) => {
                  const index = row * steps.length + column
                  return (
                    <LabCell
                      key={n}
                      batchId={batchId}
                      index={index}
                      item={items.get(index)}
                      preview={previews.get(index)}
                      pricePerSecond={pricePerSecond}
                    />
                  )
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  )
}

function LabCell(props: {
  batchId: string
  index: number
  item: Item | undefined
  preview: Preview | undefined
  pricePerSecond: number | null
}) {
  const { batchId, index, item, preview, pricePerSecond } = props
  const image = item?.images[0]
  const name =
    item === undefined ? '' : `${schedulerName(item.request.scheduler)}, ${item.request.numInferenceSteps} steps`
  return (
    <td>
      {image !== undefined ? (
        <a href={`#/batches/${batchId}?item=${index}`}>
          <img src={pictureUrl(image.url)} alt={name} />
        </a>
      ) : item?.error ? (
        <span class="blank bad" title={item.error.message}>
          failed
        </span>
      ) : preview !== undefined ? (
        <img class="developing" src={preview.picture} alt="On its way" />
      ) : (
        <span class="blank">·</span>
      )}
      <small>
        {item?.seconds != null ? seconds(item.seconds) : ' '}
        {item?.steps != null && ` · ${item.steps} calls`}
        {item?.seconds != null && pricePerSecond !== null && `\n${(item.seconds * pricePerSecond).toPrecision(2)}`}
      </small>
    </td>
  )
}
