import { create } from '@bufbuild/protobuf'
import { startNatsServer } from '@darkroom/local'
import type { NatsServer } from '@darkroom/local'
import { COMPLETION_STREAM, poolConsumer, SHARD_STREAM, ShardAssignmentSchema } from '@darkroom/proto'
import { EventEmitter, once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { LeaderLease } from './leader.ts'
import { createLogger } from './log.ts'
import { FarmNats } from './nats.ts'

const log = createLogger('nats-test', 'silent')
let directory: string
let server: NatsServer
let nats: FarmNats

beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'darkroom-nats-'))
  server = await startNatsServer({ directory })
  nats = await FarmNats.connect({ servers: server.url, name: 'test' }, log)
  await nats.ensureStreams([])
})
afterAll(async () => {
  await nats[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

const next = (pool: string, expiresMs = 5_000) =>
  nats.nextShard(pool, { expiresMs, signal: new AbortController().signal })
const shard = (shardId: string) => create(ShardAssignmentSchema, { batchId: 'b1', shardId, attempt: 1 })

test('a dispatched shard reaches one worker of its pool and is gone once acknowledged', async () => {
  await nats.ensureStreams(['dispatch', 'other'])
  const sequence = await nats.dispatchShard('dispatch', shard('s1'))
  const delivery = (await next('dispatch'))!
  expect(delivery).toMatchObject({ sequence, deliveryCount: 1 })
  expect(delivery.assignment).toMatchObject({ batchId: 'b1', shardId: 's1', attempt: 1 })
  expect(await nats.shardBacklog('dispatch')).toEqual({ pending: 0, ackPending: 1 })
  expect(await next('other', 1_000)).toBeNull()
  await delivery.ack()
  expect(await nats.shardBacklog('dispatch')).toEqual({ pending: 0, ackPending: 0 })
})

test('a shard that is withdrawn reaches nobody, and withdrawing it again is fine', async () => {
  await nats.ensureStreams(['withdraw'])
  const sequence = await nats.dispatchShard('withdraw', shard('s1'))
  await nats.dispatchShard('withdraw', shard('s2'))
  await nats.withdrawShard(sequence)
  await nats.withdrawShard(sequence)
  const delivery = (await next('withdraw'))!
  expect(delivery.assignment.shardId).toBe('s2')
  await delivery.ack()
})

test('ensureStreams tells what it had to make, once', async () => {
  expect(await nats.ensureStreams(['fresh'])).toEqual({ created: [`${SHARD_STREAM}/${poolConsumer('fresh')}`] })
  expect(await nats.ensureStreams(['fresh'])).toEqual({ created: [] })
  const manager = await nats.connection.jetstreamManager()
  await manager.streams.delete(COMPLETION_STREAM)
  expect((await nats.ensureStreams(['fresh'])).created).toContain(COMPLETION_STREAM)
})

test('of two that want the lease one leads, and hands over when it goes', async () => {
  const told = new EventEmitter()
  const take = (identity: string): LeaderLease =>
    LeaderLease.start(nats, {
      identity,
      address: `${identity}:1`,
      ttlMs: 1_500,
      onAcquired: () => told.emit(`${identity} leads`),
      onLost: () => told.emit(`${identity} lost`),
      log,
    })
  const aLeads = once(told, 'a leads')
  const a = take('a')
  await aLeads
  await using b = take('b')
  expect([a.isLeader(), b.isLeader()]).toEqual([true, false])
  const handedOver = Promise.all([once(told, 'a lost'), once(told, 'b leads')])
  await a[Symbol.asyncDispose]()
  await handedOver
  expect([a.isLeader(), b.isLeader(), b.leaderAddress()]).toEqual([false, true, 'b:1'])
})
