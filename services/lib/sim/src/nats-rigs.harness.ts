import { create } from '@bufbuild/protobuf'
import { createLogger, DarkroomError, FarmNats } from '@darkroom/chassis'
import type { ShardDelivery } from '@darkroom/chassis'
import { startNatsServer } from '@darkroom/local'
import {
  COMPLETION_CONSUMER,
  COMPLETION_STREAM,
  SHARD_STREAM,
  ShardAssignmentSchema,
  ShardCompletionSchema,
  workerConsumer,
} from '@darkroom/proto'
import type { ShardAssignment, ShardCompletion } from '@darkroom/proto'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, test } from 'vitest'
import { Random } from './random.ts'
import { VirtualQueue } from './virtual-jetstream.ts'
import { VirtualNats, VirtualNatsServer } from './virtual-nats.ts'
import { VirtualProcess } from './virtual-process.ts'
import { VirtualTime } from './virtual-time.ts'

/** Short, for the real server's sake: the product's is a minute. */
export const ACK_WAIT_MS = 2_000
const OUTAGE_MS = 100
const POLL_MS = 50

/** A JetStream with one client, as the coordinator and the workers see it. */
export interface NatsRig {
  readonly nats: Omit<FarmNats, 'connection' | 'shardBacklog'>
  nowMs(): number
  /** Opens a worker's consumer with the short ack wait. */
  openWorker(workerId: string): Promise<void>
  shortenCompletionsAckWait(): Promise<void>
  limitDeliveries(workerId: string, maxDeliver: number): Promise<void>
  /** The server dies and comes back; its client is connected again. */
  restart(storage: 'kept' | 'lost'): Promise<void>
}

export type NatsProperty = (rig: NatsRig) => Promise<void>

/** Plays a property on the virtual clock. */
export async function onVirtualNats(property: NatsProperty): Promise<void> {
  const time = new VirtualTime()
  const server = new VirtualNatsServer(time)
  const nats = new VirtualNats(server, new VirtualProcess(time, 'test'), new Random(1))
  let isOver = false
  const played = property({
    nats,
    nowMs: () => time.nowMs,
    openWorker: async (workerId) => {
      server.shards = new VirtualQueue(time, ACK_WAIT_MS)
      await glance(nats, workerId)
    },
    shortenCompletionsAckWait: async () => {
      server.completions = new VirtualQueue(time, ACK_WAIT_MS)
    },
    limitDeliveries: async (_workerId, maxDeliver) => {
      server.shards!.maxDeliver = maxDeliver
    },
    restart: async (storage) => {
      server.goDown(OUTAGE_MS, storage)
      while (!nats.isConnected()) await new Promise<void>((resolve) => time.after(POLL_MS, resolve))
    },
  }).finally(() => (isOver = true))
  // It is looked at below; meanwhile it may fail.
  played.catch(() => {})
  // Until it first waits for the clock.
  await new Promise(setImmediate)
  await time.run(() => isOver)
  await played
}

/** Plays a property on a nats-server of its own, by the clock on the wall. */
export async function onRealNats(property: NatsProperty): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(path.join(os.tmpdir(), 'darkroom-parity-nats-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  let server = await startNatsServer({ directory })
  stack.defer(() => server.stop('SIGKILL'))
  const nats = await FarmNats.connect({ servers: server.url, name: 'parity' }, createLogger('parity', 'silent'))
  stack.defer(() => nats.connection.close())
  const manager = await nats.connection.jetstreamManager()
  const change = async (stream: string, consumer: string, to: { ack_wait?: number; max_deliver?: number }) => {
    await manager.consumers.update(stream, consumer, to)
  }
  await property({
    nats,
    nowMs: () => performance.now(),
    openWorker: async (workerId) => {
      await glance(nats, workerId)
      await change(SHARD_STREAM, workerConsumer(workerId), { ack_wait: ACK_WAIT_MS * 1e6 })
    },
    shortenCompletionsAckWait: () => change(COMPLETION_STREAM, COMPLETION_CONSUMER, { ack_wait: ACK_WAIT_MS * 1e6 }),
    limitDeliveries: (workerId, maxDeliver) =>
      change(SHARD_STREAM, workerConsumer(workerId), { max_deliver: maxDeliver }),
    restart: async (storage) => {
      await server.stop('SIGKILL')
      if (storage === 'lost') await rm(path.join(directory, 'store'), { recursive: true })
      server = await startNatsServer({ directory, port: server.port })
      while (!nats.isConnected()) await delay(POLL_MS)
    },
  })
}

/** A pull that is broken off at once: the consumer is there from now on. */
export async function glance(nats: NatsRig['nats'], workerId: string): Promise<void> {
  const stop = new AbortController()
  const pull = nats.nextShard(workerId, { expiresMs: 60_000, signal: stop.signal })
  stop.abort()
  await pull
}

export function shard(shardId: string): ShardAssignment {
  return create(ShardAssignmentSchema, { batchId: 'b1', shardId, attempt: 1, checkpoint: 'emoji-sd' })
}

export function completion(shardId: string): ShardCompletion {
  return create(ShardCompletionSchema, { batchId: 'b1', shardId, attempt: 1, workerId: 'w1', committed: true })
}

/** Each must hold on the real server; where the virtual one differs, the virtual one is wrong. */
export function testOnBoth(properties: Readonly<Record<string, NatsProperty>>): void {
  describe.concurrent('the virtual JetStream', () => {
    test.for(Object.entries(properties))('%s', ([, property]) => onVirtualNats(property))
  })
  describe.concurrent('a real nats-server', () => {
    test.for(Object.entries(properties))('%s', ([, property]) => onRealNats(property))
  })
}

export function pull(nats: NatsRig['nats'], workerId: string, expiresMs = 10_000): Promise<ShardDelivery | null> {
  return nats.nextShard(workerId, { expiresMs: Math.max(1_000, expiresMs), signal: new AbortController().signal })
}

export async function seen(nats: NatsRig['nats'], workerId: string, expiresMs?: number): Promise<Seen | null> {
  const delivery = await pull(nats, workerId, expiresMs)
  if (delivery === null) return null
  const { assignment, sequence, deliveryCount } = delivery
  return { shardId: assignment.shardId, sequence, deliveryCount }
}

interface Seen {
  readonly shardId: string
  readonly sequence: number
  readonly deliveryCount: number
}

/** 'ok', or how it failed. */
export async function codeOf(action: Promise<unknown>): Promise<string> {
  return action.then(
    () => 'ok',
    (reason: unknown) => DarkroomError.from(reason).code,
  )
}
