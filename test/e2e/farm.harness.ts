import { ObjectStore } from '@darkroom/chassis'
import { GatewayClient, verifyBatch } from '@darkroom/cli'
import type { BatchJson } from '@darkroom/cli'
import { Farm } from '@darkroom/local'
import type { FarmOptions } from '@darkroom/local'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** A farm of real processes for one test, gone with everything it wrote when the test ends. */
export async function startTestFarm(options: Omit<FarmOptions, 'directory'> = {}): Promise<TestFarm> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'darkroom-e2e-'))
  try {
    return new TestFarm(await Farm.start({ ...options, directory }))
  } catch (reason) {
    rmSync(directory, { recursive: true, force: true })
    throw reason
  }
}

export class TestFarm implements AsyncDisposable {
  readonly farm: Farm
  readonly gateway: GatewayClient

  constructor(farm: Farm) {
    this.farm = farm
    this.gateway = new GatewayClient(farm.gatewayUrl)
  }

  /** Follows a batch until `isReached` says so or it ends. */
  async until(id: string, isReached: (batch: BatchJson) => boolean): Promise<BatchJson> {
    const stop = new AbortController()
    try {
      for await (const batch of this.gateway.follow(id, stop.signal)) if (isReached(batch)) return batch
    } finally {
      stop.abort()
    }
    return this.gateway.batch(id)
  }

  async end(id: string): Promise<BatchJson> {
    return this.until(id, ({ state }) => state === 'completed' || state === 'cancelled')
  }

  /** What `darkroom verify` says of the bucket. */
  async verify(id: string): ReturnType<typeof verifyBatch> {
    using store = ObjectStore.open(this.farm.storeConfig)
    return verifyBatch(store, id)
  }

  /** The picture's bytes as the gateway hands them out. */
  async picture(id: string, name: string): Promise<Buffer> {
    const response = await this.gateway.download(`/api/v1/batches/${id}/images/${name}`)
    return Buffer.from(await response.arrayBuffer())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.farm[Symbol.asyncDispose]()
    rmSync(this.farm.directory, { recursive: true, force: true })
  }
}

/** `count` items of a few steps each over several schedulers; every seed its own. */
export function manyItems(count: number, steps = 20): object[] {
  const schedulers = ['PNDMScheduler', 'EulerDiscreteScheduler', 'DDIMScheduler', 'DDPMScheduler']
  const prompts = ['a cat', 'a red apple', 'the sun', 'a panda', 'a rocket']
  return Array.from({ length: count }, (_, i) => ({
    checkpoint: 'emoji-sd',
    prompt: prompts[i % prompts.length],
    scheduler: schedulers[i % schedulers.length],
    numInferenceSteps: steps,
    guidanceScale: 3.5,
    seed: i,
  }))
}
