import { ObjectStore } from '@darkroom/chassis'
import { startS3Server } from '@darkroom/local/s3'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { Random } from './random.ts'
import { VirtualBucket } from './virtual-bucket.ts'
import { VirtualProcess } from './virtual-process.ts'
import { fairStoreWeather, VirtualStore } from './virtual-store.ts'
import { VirtualTime } from './virtual-time.ts'

const KEYS = { accessKeyId: 'test', secretAccessKey: 'test-secret' }

/** An empty bucket with one client, as the coordinator and the workers see it. */
export interface StoreRig {
  readonly store: Pick<ObjectStore, keyof VirtualStore & keyof ObjectStore>
  /** Nothing is answered any more. */
  goDown(): void
  /** Half of the writes are carried out without an answer. */
  loseAnswers(): void
}

export type StoreProperty = (rig: StoreRig) => Promise<void>

/** Plays a property on the virtual clock. */
export async function onVirtualStore(property: StoreProperty, bucket = new VirtualBucket()): Promise<void> {
  const time = new VirtualTime()
  const weather = fairStoreWeather()
  const store = new VirtualStore(bucket, new VirtualProcess(time, 'test'), weather, new Random(1))
  let isOver = false
  const goDown = (): void => void (weather.isDown = true)
  const loseAnswers = (): void => void (weather.lostAnswerRate = 0.5)
  const played = property({ store, goDown, loseAnswers }).finally(() => (isOver = true))
  // It is looked at below; meanwhile it may fail.
  played.catch(() => {})
  // Until it first waits for the clock.
  await new Promise(setImmediate)
  await time.run(() => isOver)
  await played
}

/** Plays a property on an S3 server of its own. */
export async function onRealStore(property: StoreProperty): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(path.join(os.tmpdir(), 'darkroom-parity-s3-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const server = stack.use(await startS3Server({ directory, fsync: false, ...KEYS }))
  const { settings } = server.faults
  const config = { endpoint: server.url, region: 'us-east-1', bucket: 'parity', forcePathStyle: true, ...KEYS }
  const store = stack.use(ObjectStore.open(config))
  await store.ensureBucket()
  await property({
    store,
    goDown: () => (settings.breakBeforeRate = 1),
    loseAnswers: () => (settings.breakAfterRate = 0.5),
  })
}
