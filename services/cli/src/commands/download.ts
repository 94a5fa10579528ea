import { DarkroomError } from '@darkroom/chassis'
import type { OutputLine } from '@darkroom/proto'
import type { Command } from 'commander'
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { CommandContext } from '../command-context.ts'
import type { GatewayClient } from '../gateway-client.ts'

const AT_ONCE = 8

export function addDownload(program: Command, context: () => CommandContext): void {
  program
    .command('download <batch>')
    .description(
      'fetch the pictures, output.jsonl and errors.jsonl of an ended batch; what is there already is not fetched again',
    )
    .option('-o, --out <folder>', "default: the batch's id")
    .action(async (id: string, { out }: { out?: string }) => {
      const result = await downloadBatch(context().gateway, id, out ?? id)
      context().print(
        result,
        () =>
          `${result.images} pictures in ${result.folder} (${result.fetched} fetched, ${result.images - result.fetched} were there)`,
      )
    })
}

/** Pictures are checked against the hash in their name before they get it. @throws DarkroomError */
export async function downloadBatch(
  gateway: GatewayClient,
  id: string,
  folder: string,
): Promise<{ folder: string; images: number; fetched: number }> {
  await mkdir(folder, { recursive: true })
  const base = `/api/v1/batches/${encodeURIComponent(id)}`
  for (const name of ['output.jsonl', 'errors.jsonl']) {
    const response = await gateway.download(`${base}/${name}`)
    await pipeline(Readable.fromWeb(response.body! as never), createWriteStream(path.join(folder, name)))
  }
  let images = 0
  let fetched = 0
  const names = imageNames(path.join(folder, 'output.jsonl'))
  const fetchAll = async (): Promise<void> => {
    for (let next = await names.next(); next.done !== true; next = await names.next()) {
      images++
      if (
        await fetchImage(
          gateway,
          `${base}/images/${next.value.name}`,
          path.join(folder, next.value.name),
          next.value.sha256,
        )
      )
        fetched++
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, fetchAll))
  return { folder, images, fetched }
}

async function* imageNames(file: string): AsyncGenerator<{ name: string; sha256: string }> {
  for await (const line of createInterface({ input: createReadStream(file) })) {
    for (const { name, sha256 } of (JSON.parse(line) as OutputLine).images) yield { name, sha256 }
  }
}

/** @returns whether it had to be fetched */
async function fetchImage(gateway: GatewayClient, url: string, file: string, sha256: string): Promise<boolean> {
  const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
  const existing = await readFile(file).catch(() => null)
  if (existing !== null && hash(existing) === sha256) return false
  const bytes = Buffer.from(await (await gateway.download(url)).arrayBuffer())
  if (hash(bytes) !== sha256)
    throw new DarkroomError('INTERNAL', `${path.basename(file)}: its bytes do not have the hash that its name says`)
  await writeFile(`${file}.part`, bytes)
  await rename(`${file}.part`, file)
  return true
}
