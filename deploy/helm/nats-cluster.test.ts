import { createLogger, FarmNats, Secret } from '@darkroom/chassis'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { renderCi } from './chart.harness.ts'
import { LoopbackCluster } from './loopback/mod.ts'

const SERVERS = 3

test("the chart's cluster of three keeps every stream when one server is gone", { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-nats-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  await using cluster = await LoopbackCluster.start({ objects: renderCi('multi-pool'), folder })
  const servers = cluster.nats
  const password = new Secret(cluster.secret('studio-nats-users')['coordinator']!)
  const login = { user: 'coordinator', password }
  const log = createLogger('test', 'silent')
  await using nats = await FarmNats.connect(
    { servers: servers.map(({ url }) => url).join(','), name: 'coordinator', login, replicas: SERVERS },
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
  const { config, cluster: members } = await manager.streams.info('DARKROOM_SHARDS')
  expect(config.num_replicas).toBe(SERVERS)

  const leader = Number(/\d$/.exec(members!.leader!)![0])
  await servers[leader]!.stop('SIGKILL')
  const leaderNow = async (): Promise<string> => (await manager.streams.info('DARKROOM_SHARDS')).cluster!.leader!
  await expect
    .poll(() => leaderNow().catch(() => null), { timeout: 30_000 })
    .toMatch(new RegExp(`^studio-nats-[^${leader}]$`))
  await expect.poll(() => nats.ensureStreams().catch(() => null), { timeout: 30_000 }).toEqual({ created: [] })
})
