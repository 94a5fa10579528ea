import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import { open } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import type { CommandContext } from '../command-context.ts'
import { EXIT } from '../exit-codes.ts'
import type { BatchJson, GatewayClient, QuoteJson } from '../gateway-client.ts'
import { linesOf } from '../lines.ts'
import { linesWithPictures } from '../lines-with-pictures.ts'
import { quoteText } from '../quote-text.ts'
import { isSweep, sweep } from '../sweep.ts'
import { unreadable, uploadPicture } from '../upload-picture.ts'
import { watchBatch } from './watch.ts'

interface SubmitOptions {
  readonly prompt: readonly string[]
  readonly checkpoint?: string
  readonly scheduler?: string
  readonly steps?: string
  readonly guidance?: string
  readonly negative?: string
  readonly seed?: string
  readonly width?: string
  readonly height?: string
  readonly images?: string
  readonly outputFormat?: string
  readonly task?: string
  readonly image?: string
  readonly mask?: string
  readonly depthMap?: string
  readonly strength?: string
  readonly previewEvery?: string
  readonly previewMode?: string
  readonly approveAfter?: string
  readonly watch?: boolean
  readonly quote?: boolean
}

const collect = (value: string, previous: readonly string[]): string[] => [...previous, value]

export function addSubmit(program: Command, context: () => CommandContext): void {
  program
    .command('submit [file]')
    .description(
      'submit a batch: a file with one JSON item a line (or one prompt a line, where it ends in .txt), - for standard input, or prompts by --prompt; pictures that lines name are uploaded',
    )
    .option('-p, --prompt <text>', 'a prompt; may be given often', collect, [])
    .option('-c, --checkpoint <name>', 'checkpoint of items that name none: a name, name:tag or pin')
    .option(
      '-s, --scheduler <name>',
      'EulerDiscreteScheduler and the like, or a sampler such as "DPM++ 2M Karras"; several with commas',
    )
    .option('--steps <n>', 'denoising steps; several with commas')
    .option('--guidance <n>', 'guidance scale; several with commas')
    .option('--negative <text>', 'negative prompt')
    .option('--seed <n>', 'seed; several with commas, or 0-9: with every list an item for each combination')
    .option('--width <pixels>', 'width')
    .option('--height <pixels>', 'height')
    .option('--images <n>', 'pictures per item')
    .option('--output-format <name>', 'png, jpeg or webp')
    .option('--image <file>', 'a picture to start from: PNG, JPEG or WebP')
    .option('--mask <file>', 'with --image: white is repainted')
    .option('--depth-map <file>', 'with --image: its depth, lighter is nearer')
    .option('--strength <n>', 'how much of the picture is redrawn, up to 1')
    .option('--preview-every <n>', 'show pictures on their way after every so many steps: darkroom watch --previews')
    .option('--preview-mode <mode>', 'estimate: a cheap sketch, the default; decode: what the VAE makes of it')
    .option('--task <name>', 'what to do, where checkpoint and pictures leave a choice')
    .option('--approve-after <n>', 'render so many of the first items; the others wait for darkroom approve', items)
    .option('-w, --watch', 'follow it until it ends')
    .option('--quote', 'say what it would take and cost, and submit nothing')
    .action(async (file: string | undefined, options: SubmitOptions, command: Command) => {
      const { gateway, isJson, print } = context()
      const needsPrompt = options.task !== 'unconditional-image-generation'
      if (file !== undefined ? options.prompt.length > 0 : needsPrompt && options.prompt.length === 0)
        command.error(`error: ${file === undefined ? NO_PROMPT : TWO_SOURCES}`, { exitCode: EXIT.usage })
      const defaults = { ...defaultsOf(options), ...(await uploadPictures(gateway, options)) }
      if (file !== undefined && isSweep(defaults)) command.error(`error: ${SWEPT_FILE}`, { exitCode: EXIT.usage })
      const body = bodyOf(options.prompt, defaults)
      if (options.quote === true) {
        const send = (lines: AsyncIterable<Uint8Array>): Promise<QuoteJson> => gateway.quoteNdjson(lines, defaults)
        const quote = file === undefined ? await gateway.quoteJson(body) : await sendLines(gateway, file, send)
        return print(quote, () => quoteText(quote))
      }
      const approval = options.approveAfter === undefined ? {} : { approveAfter: options.approveAfter }
      const send = (lines: AsyncIterable<Uint8Array>): Promise<BatchJson> =>
        gateway.submitNdjson(lines, { ...defaults, ...approval })
      const batch =
        file === undefined
          ? await gateway.submitJson({ ...body, ...typed(approval) })
          : await sendLines(gateway, file, send)
      const accepted = `${batch.id}  ${batch.itemCount} items, ${batch.imageCount} images accepted`
      if (options.watch !== true) return print(batch, () => `${accepted}\nfollow it: darkroom watch ${batch.id}`)
      if (!isJson) console.log(accepted)
      await watchBatch(gateway, batch.id, isJson)
    })
}

const TWO_SOURCES = 'prompts by --prompt go without a file: write them into it'
const SWEPT_FILE = 'lists of schedulers, steps, guidance and seeds go with --prompt: a file names them line by line'
const NO_PROMPT =
  'give a file, or prompts by --prompt; a checkpoint that takes none needs --task unconditional-image-generation'

function bodyOf(prompts: readonly string[], given: Record<string, string>): object {
  if (isSweep(given)) {
    const { items, defaults } = sweep(prompts, given)
    return { items, defaults: typed(defaults) }
  }
  // A prompt goes along where none is taken, too: the gateway says so better than its silent loss would.
  const items = prompts.length > 0 ? prompts.map((prompt) => ({ prompt })) : [{}]
  return { items, defaults: typed(given) }
}

async function sendLines<T>(
  gateway: GatewayClient,
  file: string,
  send: (lines: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  const lines = await openLines(file)
  const folder = file === '-' ? '.' : path.dirname(file)
  let failure: unknown = null
  async function* body(): AsyncGenerator<Buffer> {
    try {
      yield* linesWithPictures(lines, folder, (picture) => uploadPicture(gateway, picture))
    } catch (reason) {
      failure = reason
      throw reason
    }
  }
  try {
    return await send(body())
  } catch (reason) {
    // A body that breaks off looks to the sender like a gateway that is away.
    throw failure ?? reason
  }
}

async function openLines(file: string): Promise<Readable> {
  if (file === '-') return process.stdin
  try {
    const lines = (await open(file)).createReadStream()
    return path.extname(file) === '.txt' ? Readable.from(promptLines(lines)) : lines
  } catch (reason) {
    throw unreadable(file, reason)
  }
}

/** A prompt a line, as items. */
async function* promptLines(lines: Readable): AsyncGenerator<Buffer> {
  for await (const prompt of linesOf(lines))
    if (prompt.trim() !== '') yield Buffer.from(`${JSON.stringify({ prompt })}\n`)
}

async function uploadPictures(gateway: GatewayClient, options: SubmitOptions): Promise<Record<string, string>> {
  const named = { image: options.image, maskImage: options.mask, depthMap: options.depthMap }
  const files = Object.entries(named).filter((entry): entry is [string, string] => entry[1] !== undefined)
  const keys = files.map(async ([field, file]) => [field, await uploadPicture(gateway, file)] as const)
  return Object.fromEntries(await Promise.all(keys))
}

/** The task that the pictures are for; none for the checkpoint's own. */
function taskOf({ task, image, mask, depthMap }: SubmitOptions): string | undefined {
  if (task !== undefined) return task
  if (mask !== undefined) return 'inpainting'
  if (depthMap !== undefined) return 'depth-to-image'
  return image === undefined ? undefined : 'image-to-image'
}

function defaultsOf(options: SubmitOptions): Record<string, string> {
  const named = {
    checkpoint: options.checkpoint,
    scheduler: options.scheduler,
    numInferenceSteps: options.steps,
    guidanceScale: options.guidance,
    negativePrompt: options.negative,
    seed: options.seed,
    width: options.width,
    height: options.height,
    numImages: options.images,
    strength: options.strength,
    outputFormat: options.outputFormat,
    previewEvery: options.previewEvery,
    previewMode: options.previewMode,
    task: taskOf(options),
  }
  return Object.fromEntries(Object.entries(named).filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function items(text: string): string {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError(`${text} is no number of items.`)
  return text
}

/** Numbers as numbers: JSON bodies are not coerced. What is no number goes as it is, and the gateway says so. */
function typed(defaults: Readonly<Record<string, string>>): Record<string, string | number> {
  const texts = [
    'checkpoint',
    'scheduler',
    'negativePrompt',
    'task',
    'image',
    'maskImage',
    'depthMap',
    'outputFormat',
    'previewMode',
  ]
  return Object.fromEntries(
    Object.entries(defaults).map(([key, value]) => [
      key,
      texts.includes(key) || Number.isNaN(Number(value)) ? value : Number(value),
    ]),
  )
}
