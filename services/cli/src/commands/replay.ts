import { DarkroomError, decodePicture, readPictureTexts } from '@darkroom/chassis'
import type { ErrorLine, OutputLine } from '@darkroom/proto'
import type { Command } from 'commander'
import { readFile, writeFile } from 'node:fs/promises'
import type { CommandContext } from '../command-context.ts'
import { EXIT } from '../exit-codes.ts'
import type { GatewayClient } from '../gateway-client.ts'

/** What became of a picture that was rendered again. */
interface Replay {
  readonly batch: string
  /** identical: the same bytes; same-pixels: another version wrote the file. */
  readonly verdict: 'identical' | 'same-pixels' | 'different'
  /** Most levels of 255 that a channel is off; null where the size is another. */
  readonly worstLevel: number | null
}

export function addReplay(program: Command, context: () => CommandContext): void {
  program
    .command('replay <file>')
    .description('render a picture again from what it says of itself, and compare')
    .option('-o, --out <file>', 'keep the new picture')
    .action(async (file: string, { out }: { out?: string }) => {
      const { gateway, print } = context()
      const before = await readFile(file).catch((cause: Error) => {
        throw new DarkroomError('INVALID_REQUEST', `cannot read ${file}: ${cause.message}`, { cause })
      })
      const { picture, batch } = await renderAgain(gateway, await itemOf(before, file))
      if (out !== undefined) await writeFile(out, picture)
      const replay: Replay = { batch, ...(await compare(before, picture)) }
      print(replay, () => `${file}: ${SENTENCES[replay.verdict](replay)}`)
      if (replay.verdict === 'different') process.exitCode = EXIT.failed
    })
}

const SENTENCES: Readonly<Record<Replay['verdict'], (replay: Replay) => string>> = {
  identical: () => 'rendered again, byte for byte',
  'same-pixels': () => 'rendered again with the same pixels; the file differs, another version wrote it',
  different: ({ worstLevel }) =>
    worstLevel === null ? 'came out with another size' : `came out different, by up to ${worstLevel} levels of 255`,
}

async function itemOf(picture: Buffer, file: string): Promise<object> {
  const { darkroom } = await readPictureTexts(picture).catch((cause: unknown) => {
    const { code, message } = DarkroomError.from(cause)
    throw new DarkroomError(code, `${file}: ${message}`, { cause })
  })
  if (darkroom === undefined) {
    const message = `${file} does not say how it was rendered: it is none of Darkroom's, or a program left that out when it saved it`
    throw new DarkroomError('INVALID_REQUEST', message)
  }
  return (JSON.parse(darkroom) as { readonly item: object }).item
}

async function renderAgain(gateway: GatewayClient, item: object): Promise<{ picture: Buffer; batch: string }> {
  const { id } = await gateway.submitJson({ items: [item] })
  for await (const { state } of gateway.follow(id, new AbortController().signal)) if (state === 'cancelled') break
  const base = `/api/v1/batches/${id}`
  const lines = await (await gateway.download(`${base}/output.jsonl`)).text()
  if (lines === '') {
    const { code, message } = JSON.parse(await (await gateway.download(`${base}/errors.jsonl`)).text()) as ErrorLine
    throw new DarkroomError(code === 'CANCELLED' ? 'CANCELLED' : 'RENDER_FAILED', message)
  }
  const { name } = (JSON.parse(lines) as OutputLine).images[0]!
  const response = await gateway.download(`${base}/images/${name}`)
  return { picture: Buffer.from(await response.arrayBuffer()), batch: id }
}

async function compare(before: Buffer, after: Buffer): Promise<Pick<Replay, 'verdict' | 'worstLevel'>> {
  if (before.equals(after)) return { verdict: 'identical', worstLevel: 0 }
  const [one, other] = await Promise.all([decodePicture(before), decodePicture(after)])
  if (one.width !== other.width || one.height !== other.height) return { verdict: 'different', worstLevel: null }
  const worstLevel = one.data.reduce((worst, level, i) => Math.max(worst, Math.abs(level - other.data[i]!)), 0)
  return { verdict: worstLevel === 0 ? 'same-pixels' : 'different', worstLevel }
}
