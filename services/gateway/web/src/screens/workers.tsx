import { useState } from 'preact/hooks'
import { call } from '../api.ts'
import type { Worker } from '../api.ts'
import { Card, Empty, Page, Shown, State, Trouble } from '../components.tsx'
import { ago, bytes, checkpointName, count, percent, seconds } from '../format.ts'
import { useAsked } from '../hooks.ts'

const EVERY_MS = 2_000

export function Workers() {
  const asked = useAsked((signal) => call('get', '/api/v1/workers', { signal }), EVERY_MS)
  return (
    <Page title="Workers" lead="One for each device.">
      <Shown asked={asked}>
        {({ workers }) =>
          workers.length === 0 ? (
            <Card>
              <Empty>None is attached. Workers find the coordinator by DARKROOM_WORKER_COORDINATORS.</Empty>
            </Card>
          ) : (
            <div class="workers">
              {workers.map((worker) => (
                <WorkerCard key={worker.id} worker={worker} />
              ))}
            </div>
          )
        }
      </Shown>
    </Page>
  )
}

function WorkerCard(props: { worker: Worker }) {
  const { worker } = props
  const { device, gpu, running, connectedAt } = worker
  const lived = connectedAt === null ? null : (Date.now() - Date.parse(connectedAt)) / 1000
  return (
    <Card title={worker.id} note={<State state={worker.quarantine === null ? worker.state : 'quarantined'} />}>
      <dl class="parameters">
        <Row name="device">
          {device?.name ?? '–'} <small>{device?.kind}</small>
        </Row>
        {gpu !== null ? (
          <>
            <Row name="utilisation">{percent(gpu.utilizationRatio)}</Row>
            <Row name="memory">
              {bytes(gpu.memoryUsedBytes)} of {bytes(gpu.memoryTotalBytes)}
            </Row>
            <Row name="power">{Math.round(gpu.powerWatts)} W</Row>
            <Row name="temperature">{Math.round(gpu.temperatureCelsius)} °C</Row>
          </>
        ) : (
          <Row name="memory">{device === null || device.memoryBytes === 0 ? '–' : bytes(device.memoryBytes)}</Row>
        )}
        <Row name="busy">
          {seconds(worker.busySeconds)}
          {lived !== null && lived > 0 && ` · ${percent(Math.min(1, worker.busySeconds / lived))} since it came`}
        </Row>
        <Row name="images">{count(worker.imagesRendered)}</Row>
        <Row name="checkpoints">{worker.residentCheckpoints.map(checkpointName).join(', ') || 'none in memory'}</Row>
        {worker.tags.length > 0 && <Row name="tags">{worker.tags.join(', ')}</Row>}
        {worker.quarantine !== null && <Row name="in quarantine">{worker.quarantine.replaceAll('_', ' ')}</Row>}
        <Row name="pool">
          {worker.pool} <small>version {worker.version}</small>
        </Row>
        <Row name="seen">{ago(worker.seenAt)}</Row>
      </dl>
      {running.length > 0 && (
        <ul class="shards" aria-label="Shards that it holds">
          {running.map(({ batchId, shardId, stepsDone, stepsTotal }) => (
            <li key={`${batchId}/${shardId}`}>
              <a href={`#/batches/${batchId}`}>
                {batchId} <small>{shardId}</small>
              </a>
              <progress value={stepsDone} max={Math.max(1, stepsTotal)} aria-label={`Steps of shard ${shardId}`} />
            </li>
          ))}
        </ul>
      )}
      {device !== null && <p class="quiet">{device.reason}</p>}
      {worker.state !== 'draining' && worker.state !== 'lost' && <Drain id={worker.id} />}
    </Card>
  )
}

/** Asks once more: whatever started the worker may not start it again. */
function Drain(props: { id: string }) {
  const { id } = props
  const [isAsking, setAsking] = useState(false)
  const [error, setError] = useState<Error | null>(null)
  const drain = async (): Promise<void> => {
    setAsking(false)
    setError(null)
    try {
      await call('post', '/api/v1/workers/{id}/drain', { params: { id } })
    } catch (reason) {
      setError(reason as Error)
    }
  }
  return (
    <>
      {error !== null && <Trouble error={error} />}
      {isAsking && <p role="alert">It hands back what it cannot finish, and stops.</p>}
      <div class="actions">
        {isAsking ? (
          <>
            <button type="button" class="danger" onClick={() => void drain()}>
              Drain {id}
            </button>
            <button type="button" onClick={() => setAsking(false)}>
              Keep it
            </button>
          </>
        ) : (
          <button type="button" onClick={() => setAsking(true)}>
            Drain <span class="hidden">{id}</span>
          </button>
        )}
      </div>
    </>
  )
}

function Row(props: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  )
}
