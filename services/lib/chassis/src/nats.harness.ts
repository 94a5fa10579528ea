import { create } from '@bufbuild/protobuf'
import { startNatsServer } from '@darkroom/local'
import type { NatsServer, NatsServerOptions } from '@darkroom/local'
import { ShardAssignmentSchema, ShardCompletionSchema } from '@darkroom/proto'
import type { ShardAssignment, ShardCompletion } from '@darkroom/proto'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import { createLogger } from './log.ts'
import { FarmNats } from './nats.ts'
import type { NatsConfig } from './nats.ts'

export const log = createLogger('test', 'silent')

type Security = Pick<NatsServerOptions, 'configFile' | 'env' | 'scheme'>

/** A nats-server of one test's own, gone with it. */
export class TestServer {
  readonly #directory: string
  readonly #security: Security
  #server: NatsServer

  private constructor(directory: string, security: Security, server: NatsServer) {
    this.#directory = directory
    this.#security = security
    this.#server = server
  }

  static async start(security: Security = {}): Promise<TestServer> {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'darkroom-nats-'))
    const server = new TestServer(directory, security, await startNatsServer({ ...security, directory }))
    onTestFinished(async () => {
      await server.kill()
      rmSync(directory, { recursive: true })
    })
    return server
  }

  get url(): string {
    return this.#server.url
  }

  /** Connected until the test ends. */
  async connect(name = 'test', options: Pick<NatsConfig, 'login' | 'tls'> = {}): Promise<FarmNats> {
    const nats = await FarmNats.connect({ servers: this.url, name, ...options }, log)
    onTestFinished(() => nats[Symbol.asyncDispose]())
    return nats
  }

  async kill(): Promise<void> {
    await this.#server.stop('SIGKILL')
  }

  /** Up again at the same port, with its storage or, as after the loss of a disk, without. */
  async restart(storage: 'kept' | 'lost'): Promise<void> {
    await this.kill()
    if (storage === 'lost') rmSync(path.join(this.#directory, 'store'), { recursive: true })
    this.#server = await startNatsServer({ ...this.#security, directory: this.#directory, port: this.#server.port })
  }
}

export function shard(shardId: string, prompt = 'a cat'): ShardAssignment {
  const item = { index: 7, prompt, seed: 2n ** 53n - 1n, schedulerConfig: { use_karras_sigmas: true } }
  return create(ShardAssignmentSchema, { batchId: 'b1', shardId, attempt: 1, checkpoint: 'emoji-sd', items: [item] })
}

export function completion(shardId: string): ShardCompletion {
  return create(ShardCompletionSchema, { batchId: 'b1', shardId, attempt: 1, workerId: 'w1', committed: true })
}
