import { useState } from 'preact/hooks'
import { call } from '../api.ts'
import type { FarmTime } from '../api.ts'
import { Card, Empty, Field, Figure, Page, Shown } from '../components.tsx'
import { checkpointName, count, percent, schedulerName, seconds } from '../format.ts'
import { useAsked } from '../hooks.ts'

const GROUPINGS = ['tenant', 'checkpoint', 'scheduler', 'batch'] as const
type Grouping = (typeof GROUPINGS)[number]
const DAY_MS = 86_400_000
const DAYS = 30

export function Ledger() {
  const [by, setBy] = useState<Grouping>('tenant')
  const [from, setFrom] = useState(dayOf(Date.now() - (DAYS - 1) * DAY_MS))
  const [to, setTo] = useState(dayOf(Date.now()))
  const asked = useAsked(
    (signal) => call('get', '/api/v1/ledger', { query: { by, from, to }, signal }),
    null,
    `${by} ${from} ${to}`,
  )
  return (
    <Page title="Ledger" lead="What ended batches used. Attempts that were lost are not charged.">
      <Card>
        <form class="fields" onSubmit={(event) => event.preventDefault()}>
          <Field label="By">
            <select value={by} onChange={(event) => setBy(event.currentTarget.value as Grouping)}>
              {GROUPINGS.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </Field>
          <Field label="From">
            <input type="date" required value={from} onChange={(event) => setFrom(event.currentTarget.value || from)} />
          </Field>
          <Field label="To">
            <input type="date" required value={to} onChange={(event) => setTo(event.currentTarget.value || to)} />
          </Field>
        </form>
      </Card>
      {asked.value?.farm && <AllDevices farm={asked.value.farm} />}
      <Card>
        <Shown asked={asked}>
          {({ lines, total }) =>
            lines.length === 0 ? (
              <Empty>No batch has ended on these days.</Empty>
            ) : (
              <div class="scroll" tabIndex={0} role="region" aria-label="Ledger">
                <table>
                  <thead>
                    <tr>
                      <th class="wide">{by}</th>
                      <th class="number">Device time</th>
                      <th class="number">Of it failed</th>
                      <th class="number">Images</th>
                      <th class="number">Model calls</th>
                      <th class="number">Seconds an image</th>
                      <th class="number">Checkpoint loads</th>
                      <th class="number">Retries</th>
                      <th class="number">Price</th>
                    </tr>
                  </thead>
                  <tbody>
                    {lines.map((line) => (
                      <Line key={line.name} name={nameOf(line.name, by)} line={line} />
                    ))}
                    <Line name="in all" line={total} />
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

/** Rendering, loading and idle sum to what was there. */
function AllDevices({ farm }: { farm: FarmTime }) {
  const { wallSeconds, renderSeconds, loadSeconds, idleSeconds, billedSeconds, unbilledSeconds } = farm
  const share = (part: number) => (wallSeconds === 0 ? '' : percent(part / wallSeconds))
  return (
    <Card title="All devices" note={`${seconds(wallSeconds)} in all`}>
      <dl class="figures">
        <Figure
          label="Rendering"
          value={seconds(renderSeconds)}
          note={`${share(renderSeconds)}: ${seconds(billedSeconds)} billed, ${seconds(unbilledSeconds)} not`}
        />
        <Figure label="Loading" value={seconds(loadSeconds)} note={share(loadSeconds)} />
        <Figure label="Idle" value={seconds(idleSeconds)} note={share(idleSeconds)} />
      </dl>
    </Card>
  )
}

interface Sum {
  readonly deviceSeconds: number
  readonly failedSeconds: number | null
  readonly images: number
  readonly steps: number
  readonly loadSeconds: number | null
  readonly retries: number | null
  readonly price: number | null
}

function Line(props: { name: string; line: Sum }) {
  const { deviceSeconds, failedSeconds, images, steps, loadSeconds, retries, price } = props.line
  return (
    <tr>
      <td>{props.name}</td>
      <td class="number">{seconds(deviceSeconds)}</td>
      <td class="number">{seconds(failedSeconds)}</td>
      <td class="number">{count(images)}</td>
      <td class="number">{count(steps)}</td>
      <td class="number">{seconds(images === 0 ? null : deviceSeconds / images)}</td>
      <td class="number">{seconds(loadSeconds)}</td>
      <td class="number">{retries === null ? '–' : count(retries)}</td>
      <td class="number">{price === null ? '–' : price.toFixed(2)}</td>
    </tr>
  )
}

function nameOf(name: string, by: Grouping): string {
  if (by === 'checkpoint') return checkpointName(name)
  return by === 'scheduler' ? schedulerName(name) : name
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 'YYYY-MM-DD'.length)
}
