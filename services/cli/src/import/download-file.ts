import { DarkroomError } from '@darkroom/chassis'
import { createWriteStream } from 'node:fs'
import { lstat, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { hasContent } from './content-hash.ts'
import type { HubCache } from './hub-cache.ts'
import type { HubClient, HubFile } from './hub-client.ts'

/**
 * Downloads one file into the cache and returns where it lies. It grows in blobs/ETAG.incomplete, and a download that was
 * broken off, by this process or another, goes on where it stopped. It gets its name when its bytes have its hash.
 * @param onBytes told of every chunk that arrives
 * @throws DarkroomError CHECKPOINT_MISMATCH (other bytes than the hub lists; they are removed), STORE_UNAVAILABLE and as HubClient
 */
export async function downloadFile(
  client: HubClient,
  cache: HubCache,
  commit: string,
  file: HubFile,
  onBytes: (bytes: number) => void,
): Promise<string> {
  const blob = cache.blob(file.etag)
  const incomplete = `${blob}.incomplete`
  await mkdir(path.dirname(blob), { recursive: true })
  if (file.size === 0) await writeFile(incomplete, '')
  let failures = 0
  for (let had = await partSize(incomplete, file.size); had < file.size;) {
    const broken = await receive(client, commit, file, incomplete, had, onBytes)
    const has = await partSize(incomplete, file.size)
    // Bytes that came are a success, however the connection ended.
    failures = has > had ? 0 : failures + 1
    had = has
    if (had < file.size && !(await client.pause(failures))) throw client.unreachable(broken)
  }
  if (!(await hasContent(incomplete, file.etag))) {
    await rm(incomplete, { force: true })
    throw otherBytes(file, 'they do not hash to it')
  }
  await rename(incomplete, blob)
  return blob
}

/** Bytes that are there of a download that was begun; what cannot be a part of it is removed. */
async function partSize(incomplete: string, whole: number): Promise<number> {
  const stat = await lstat(incomplete).catch(() => null)
  if (stat === null) return 0
  if (stat.isFile() && stat.size <= whole) return stat.size
  await rm(incomplete, { recursive: true, force: true })
  return 0
}

/** Appends what the hub sends from `start` on. Returns why it ended too early; what came before that is kept. */
async function receive(
  client: HubClient,
  commit: string,
  file: HubFile,
  incomplete: string,
  start: number,
  onBytes: (bytes: number) => void,
): Promise<Error> {
  const response = await client.open(file, commit, start)
  const isRest =
    response.status === 206 && response.headers.get('content-range')?.startsWith(`bytes ${start}-`) === true
  // A server that takes no ranges sends the whole again.
  if (response.body === null || !(isRest || response.status === 200)) {
    await response.body?.cancel()
    await rm(incomplete, { force: true })
    throw otherBytes(file, `there are none from ${start} on`)
  }
  let size = isRest ? start : 0
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length
      onBytes(chunk.length)
      done(size > file.size ? otherBytes(file, `they are more than ${file.size}`) : null, chunk)
    },
  })
  try {
    const sink = createWriteStream(incomplete, { flags: isRest ? 'a' : 'w' })
    await pipeline(Readable.fromWeb(response.body as never), counted, sink)
    return new Error(`${file.path} ended early`)
  } catch (reason) {
    if (reason instanceof DarkroomError) await rm(incomplete, { force: true })
    const isOfDisk = ['open', 'write', 'close'].includes((reason as NodeJS.ErrnoException).syscall ?? '')
    if (reason instanceof DarkroomError || isOfDisk) throw reason
    return reason as Error
  }
}

function otherBytes(file: HubFile, why: string): DarkroomError {
  return new DarkroomError(
    'CHECKPOINT_MISMATCH',
    `${file.path} arrived with other bytes than the hub lists for it (${file.etag}): ${why}. They were removed and nothing was pushed; run the import again`,
  )
}
