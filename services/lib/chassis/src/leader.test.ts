import { LEADER_BUCKET, LEADER_KEY } from '@darkroom/proto'
import { EventEmitter, once } from 'node:events'
import { expect, onTestFinished, test } from 'vitest'
import { LeaderLease } from './leader.ts'
import { log, TestServer } from './nats.harness.ts'
import type { FarmNats } from './nats.ts'

const TTL_MS = 1_500

/** A coordinator's part in the election; says 'acquired' and 'lost'. */
class Candidate extends EventEmitter {
  readonly identity: string
  readonly lease: LeaderLease

  constructor(nats: FarmNats, identity: string) {
    super()
    this.identity = identity
    this.lease = LeaderLease.start(nats, {
      identity,
      address: `${identity}:50051`,
      ttlMs: TTL_MS,
      onAcquired: () => void this.emit('acquired'),
      onLost: () => void this.emit('lost'),
      log,
    })
    onTestFinished(() => this.lease[Symbol.asyncDispose]())
  }
}

test('the first one leads, and a standby knows where', async () => {
  const server = await TestServer.start()
  const one = new Candidate(await server.connect(), 'one')
  await once(one, 'acquired')
  expect(one.lease.isLeader()).toBe(true)
  const other = new Candidate(await server.connect(), 'other')
  await expect.poll(() => other.lease.leaderAddress()).toBe('one:50051')
  expect(other.lease.isLeader()).toBe(false)
})

test('of several that start at once exactly one leads', async () => {
  const server = await TestServer.start()
  const nats = await server.connect()
  const candidates = ['a', 'b', 'c', 'd'].map((identity) => new Candidate(nats, identity))
  await Promise.race(candidates.map((candidate) => once(candidate, 'acquired')))
  await expect
    .poll(() => new Set(candidates.map(({ lease }) => lease.leaderAddress())))
    .toEqual(new Set([expect.stringMatching(/:50051$/)]))
  expect(candidates.filter(({ lease }) => lease.isLeader())).toHaveLength(1)
})

test('a leader that stops gives the lease back, and is told that it no longer leads', async () => {
  const server = await TestServer.start()
  const one = new Candidate(await server.connect(), 'one')
  await once(one, 'acquired')
  const other = new Candidate(await server.connect(), 'other')
  const order: string[] = []
  one.on('lost', () => order.push('one lost'))
  other.on('acquired', () => order.push('other acquired'))
  const acquired = once(other, 'acquired')
  await one.lease[Symbol.asyncDispose]()
  await acquired
  expect(order).toEqual(['one lost', 'other acquired'])
  expect(one.lease.isLeader()).toBe(false)
})

test('a leader that vanishes is followed once its lease has run out, and never leads beside its successor', async () => {
  const server = await TestServer.start()
  const cutOff = await server.connect()
  const one = new Candidate(cutOff, 'one')
  await once(one, 'acquired')
  const other = new Candidate(await server.connect(), 'other')
  await expect.poll(() => other.lease.leaderAddress()).toBe('one:50051')
  const lost = once(one, 'lost')
  const acquired = once(other, 'acquired').then(() => one.lease.isLeader())
  await cutOff.connection.close()
  await lost
  expect(await acquired).toBe(false)
})

test('a leader whose process hung stands down by the clock before it does anything else', async () => {
  const server = await TestServer.start()
  const one = new Candidate(await server.connect(), 'one')
  await once(one, 'acquired')
  const lost = once(one, 'lost')
  const again = once(one, 'acquired')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TTL_MS)
  expect(one.lease.isLeader()).toBe(false)
  await lost
  await again
  expect(one.lease.isLeader()).toBe(true)
})

test('the loss of the bucket is survived: somebody leads again, and one alone', async () => {
  const server = await TestServer.start()
  const candidates = [new Candidate(await server.connect(), 'one'), new Candidate(await server.connect(), 'other')]
  await Promise.race(candidates.map((candidate) => once(candidate, 'acquired')))
  await server.restart('lost')
  const watcher = (await server.connect()).connection.jetstream()
  /** Who holds the lease in the bucket that was made anew. */
  const holder = async (): Promise<string | undefined> => {
    const bucket = await watcher.views.kv(LEADER_BUCKET, { bindOnly: true })
    return (await bucket.get(LEADER_KEY).catch(() => null))?.json<{ identity: string }>().identity
  }
  // Until its term runs out, the former leader may still trust it.
  await expect.poll(holder, { timeout: 15_000 }).toBeDefined()
  const identity = (await holder())!
  await expect
    .poll(() => candidates.map(({ lease }) => lease.leaderAddress()), { timeout: 15_000 })
    .toEqual([`${identity}:50051`, `${identity}:50051`])
  expect(candidates.filter(({ lease }) => lease.isLeader()).map((leader) => leader.identity)).toEqual([identity])
})

test('a bucket that was made with a shorter ttl is led by that', async () => {
  const server = await TestServer.start()
  const nats = await server.connect()
  await nats.connection.jetstream().views.kv(LEADER_BUCKET, { ttl: TTL_MS / 2, history: 1 })
  const one = new Candidate(nats, 'one')
  await once(one, 'acquired')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TTL_MS / 2)
  expect(one.lease.isLeader()).toBe(false)
})
