import { S3Client } from '@aws-sdk/client-s3'
import { ObjectStore } from '@darkroom/chassis'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { startS3Server } from './server.ts'
import type { S3Server } from './server.ts'

export const KEYS = { accessKeyId: 'test', secretAccessKey: 'test-secret' }
export const BUCKET = 'tests'

export interface Rig extends AsyncDisposable {
  readonly directory: string
  readonly server: S3Server
  readonly store: ObjectStore
  /** Retries nothing. */
  readonly client: S3Client
}

/** A server over the folder with an empty bucket or what was there, a store and a bare client. */
export async function startRig(directory: string): Promise<Rig> {
  const server = await startS3Server({ directory, ...KEYS, fsync: false })
  const shared = { endpoint: server.url, region: 'us-east-1', forcePathStyle: true }
  const store = ObjectStore.open({ ...shared, ...KEYS, bucket: BUCKET })
  await store.ensureBucket()
  const client = new S3Client({ ...shared, credentials: KEYS, maxAttempts: 1 })
  return {
    directory,
    server,
    store,
    client,
    async [Symbol.asyncDispose]() {
      store[Symbol.dispose]()
      client.destroy()
      await server[Symbol.asyncDispose]()
    },
  }
}

export async function temporaryFolder(): Promise<{ readonly at: string } & AsyncDisposable> {
  const at = await mkdtemp(path.join(os.tmpdir(), 'darkroom-s3-test-'))
  return { at, [Symbol.asyncDispose]: () => rm(at, { recursive: true, force: true }) }
}
