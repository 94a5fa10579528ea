import { createLogger, FarmNats } from '@darkroom/chassis'
import { freePort, startNatsServer } from '@darkroom/local'
import type { NatsServer } from '@darkroom/local'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { renderCi, theOne } from './chart.harness.ts'

const SERVERS = 3

/** The cluster of the chart on loopback. */
async function startCluster(): Promise<readonly NatsServer[]> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-nats-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const written = theOne(renderCi('multi-pool'), 'ConfigMap', '-nats')['data']['nats.conf'] as string
  const routes = await Promise.all(Array.from({ length: SERVERS }, freePort))
  const ports = await Promise.all(Array.from({ length: SERVERS }, freePort))
  const starting = ports.map(async (port, index) => {
    const directory = path.join(folder, String(index))
    const configFile = path.join(folder, `${index}.conf`)
    const moved = written
      .replace('$POD_NAME', `studio-nats-${index}`)
      .replace('http_port: 8222', 'http_port: -1')
      .replace('/data', directory)
      .replace('port: 6222', `host: 127.0.0.1, port: ${routes[index]}`)
      .replaceAll(
        /studio-nats-(\d)\.studio-nats\.render\.svc:6222/g,
        (_, other: string) => `127.0.0.1:${routes[Number(other)]}`,
      )
    writeFileSync(configFile, moved)
    const server = await startNatsServer({ directory, port, configFile })
    onTestFinished(() => server.stop('SIGKILL'))
    return server
  })
  return Promise.all(starting)
}

test("the chart's cluster of three keeps every stream when one server is gone", { timeout: 60_000 }, async () => {
  const servers = await startCluster()
  const log = createLogger('test', 'silent')
  await using nats = await FarmNats.connect(
    { servers: servers.map(({ url }) => url).join(','), name: 'test', replicas: SERVERS },
    log,
  )
  // The servers elect their leader first.
  await expect
    .poll(
      () =>
        nats.ensureStreams().then(
          () => true,
          () => false,
        ),
      { timeout: 30_000 },
    )
    .toBe(true)
  const manager = await nats.connection.jetstreamManager()
  const { config, cluster } = await manager.streams.info('DARKROOM_SHARDS')
  expect(config.num_replicas).toBe(SERVERS)

  const leader = Number(/\d$/.exec(cluster!.leader!)![0])
  await servers[leader]!.stop('SIGKILL')
  const leaderNow = async (): Promise<string> => (await manager.streams.info('DARKROOM_SHARDS')).cluster!.leader!
  await expect
    .poll(() => leaderNow().catch(() => null), { timeout: 30_000 })
    .toMatch(new RegExp(`^studio-nats-[^${leader}]$`))
  await expect.poll(() => nats.ensureStreams().catch(() => null), { timeout: 30_000 }).toEqual({ created: [] })
})
