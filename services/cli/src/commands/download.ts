import { DarkroomError } from '@darkroom/chassis'
import type { OutputLine } from '@darkroom/proto'
import type { Command } from 'commander'
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { forEachAtOnce } from '../at-once.ts'
import type { CommandContext } from '../command-context.ts'
import type { GatewayClient } from '../gateway-client.ts'
import { itemsNamed } from '../item-ranges.ts'
import { linesOf } from '../lines.ts'

const AT_ONCE = 8

interface Download {
  readonly folder: string
  readonly images: number
  /** Those that were not there already. */
  readonly fetched: number
}

export function addDownload(program: Command, context: () => CommandContext): void {
  program
    .command('download <batch>')
    .description('fetch the pictures of an ended batch, output.jsonl and errors.jsonl; goes on where it was broken off')
    .option('-o, --out <folder>', "default: the batch's id")
    .option('--items <ranges>', 'only pictures of these items: 3,5-10,40-')
    .action(async (id: string, { out, items }: { out?: string; items?: string }) => {
      const isWanted = items === undefined ? () => true : itemsNamed(items)
      const result = await downloadBatch(context().gateway, id, out ?? id, isWanted)
      const { folder, images, fetched } = result
      context().print(
        result,
        () => `${images} pictures in ${folder} (${fetched} fetched, ${images - fetched} were there)`,
      )
    })
}

/**
 * Fetches what a batch made into a folder. No picture gets its name before its bytes have the hash that the name says.
 * @throws DarkroomError NOT_FOUND for a batch that is not there or not ended
 */
export async function downloadBatch(
  gateway: GatewayClient,
  id: string,
  folder: string,
  isWanted: (item: number) => boolean = () => true,
): Promise<Download> {
  const batch = await gateway.batch(id)
  if (batch.state !== 'completed' && batch.state !== 'cancelled')
    throw new DarkroomError('NOT_FOUND', `batch ${id} is still ${batch.state}: darkroom watch ${id} waits for its end`)
  await mkdir(folder, { recursive: true })
  const base = `/api/v1/batches/${encodeURIComponent(id)}`
  for (const name of ['output.jsonl', 'errors.jsonl']) {
    const response = await gateway.download(`${base}/${name}`)
    await pipeline(Readable.fromWeb(response.body! as never), createWriteStream(path.join(folder, name)))
  }
  let images = 0
  let fetched = 0
  await forEachAtOnce(imagesOf(path.join(folder, 'output.jsonl'), isWanted), AT_ONCE, async ({ name, sha256 }) => {
    images++
    const file = path.join(folder, path.basename(name))
    if (await hasHash(file, sha256)) return
    await fetchImage(gateway, `${base}/images/${encodeURIComponent(name)}`, file, sha256)
    fetched++
  })
  return { folder, images, fetched }
}

async function* imagesOf(
  file: string,
  isWanted: (item: number) => boolean,
): AsyncGenerator<{ name: string; sha256: string }> {
  for await (const line of linesOf(createReadStream(file))) {
    const { index, images } = JSON.parse(line) as OutputLine
    if (isWanted(index)) yield* images
  }
}

async function hasHash(file: string, sha256: string): Promise<boolean> {
  const bytes = await readFile(file).catch(() => null)
  return bytes !== null && hashOf(bytes) === sha256
}

async function fetchImage(gateway: GatewayClient, url: string, file: string, sha256: string): Promise<void> {
  const response = await gateway.download(url)
  const bytes = Buffer.from(await response.arrayBuffer())
  if (hashOf(bytes) !== sha256)
    throw new DarkroomError('INTERNAL', `${path.basename(file)} arrived with other bytes than its name says`)
  await writeFile(`${file}.part`, bytes)
  await rename(`${file}.part`, file)
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
