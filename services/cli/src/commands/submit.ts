import { DarkroomError } from '@darkroom/chassis'
import type { Command } from 'commander'
import { open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { CommandContext } from '../command-context.ts'
import { EXIT } from '../exit-codes.ts'
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
  readonly watch?: boolean
}

const collect = (value: string, previous: readonly string[]): string[] => [...previous, value]

export function addSubmit(program: Command, context: () => CommandContext): void {
  program
    .command('submit [file]')
    .description('submit a batch: a file with one JSON item a line, - for standard input, or prompts by --prompt')
    .option('-p, --prompt <text>', 'a prompt; may be given often', collect, [])
    .option('-c, --checkpoint <name>', 'checkpoint of items that name none: a name, name:tag or pin')
    .option('-s, --scheduler <class>', "diffusers' class name, such as EulerDiscreteScheduler")
    .option('--steps <n>', 'denoising steps')
    .option('--guidance <n>', 'guidance scale')
    .option('--negative <text>', 'negative prompt')
    .option('--seed <n>', 'seed')
    .option('--width <pixels>', 'width')
    .option('--height <pixels>', 'height')
    .option('--images <n>', 'pictures per item')
    .option('-w, --watch', 'follow it until it ends')
    .action(async (file: string | undefined, options: SubmitOptions, command: Command) => {
      const { gateway, isJson, print } = context()
      if ((file === undefined) === (options.prompt.length === 0))
        command.error('error: give a file, or prompts by --prompt', { exitCode: EXIT.usage })
      const defaults = defaultsOf(options)
      const batch =
        file === undefined
          ? await gateway.submitJson({ items: options.prompt.map((prompt) => ({ prompt })), defaults: typed(defaults) })
          : await gateway.submitNdjson(await openLines(file), defaults)
      const accepted = `${batch.id}  ${batch.itemCount} items, ${batch.imageCount} images accepted`
      if (options.watch !== true) return print(batch, () => `${accepted}\nfollow it: darkroom watch ${batch.id}`)
      if (!isJson) console.log(accepted)
      await watchBatch(gateway, batch.id, isJson)
    })
}

async function openLines(file: string): Promise<Readable> {
  if (file === '-') return process.stdin
  try {
    return (await open(file)).createReadStream()
  } catch (reason) {
    throw new DarkroomError('INVALID_REQUEST', `cannot read ${file}: ${(reason as Error).message}`, { cause: reason })
  }
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
  }
  return Object.fromEntries(Object.entries(named).filter((entry): entry is [string, string] => entry[1] !== undefined))
}

/** Numbers as numbers: JSON bodies are not coerced. What is no number goes as it is, and the gateway says so. */
function typed(defaults: Record<string, string>): Record<string, string | number> {
  const texts = ['checkpoint', 'scheduler', 'negativePrompt']
  return Object.fromEntries(
    Object.entries(defaults).map(([key, value]) => [
      key,
      texts.includes(key) || Number.isNaN(Number(value)) ? value : Number(value),
    ]),
  )
}
