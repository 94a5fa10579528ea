import { listCheckpoints, pushCheckpoint } from '@darkroom/chassis'
import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { hubSettings } from '../import/hub-settings.ts'
import type { HubOptions } from '../import/hub-settings.ts'
import { importCheckpoint } from '../import/import-checkpoint.ts'
import { table } from '../table.ts'

interface ImportCommandOptions extends HubOptions {
  readonly name?: string
  readonly tag: string
  readonly revision?: string
}

export function addCheckpoints(program: Command, context: () => CommandContext): void {
  const checkpoints = program
    .command('checkpoints')
    .description('list, push and import checkpoints (needs DARKROOM_S3_* of the farm)')
  checkpoints
    .command('list', { isDefault: true })
    .description('list every checkpoint in the store')
    .action(async () => {
      using store = context().openStore()
      const listed = await Array.fromAsync(listCheckpoints(store))
      const rows = listed.map(({ name, pin, tags, bytes, files }) => [
        name,
        tags.join(' '),
        files,
        Number((bytes / 1e6).toFixed(1)),
        pin,
      ])
      context().print(listed, () => table(['name', 'tags', 'files', 'MB', 'pin'], rows))
    })
  checkpoints
    .command('push <folder>')
    .description('store a pipeline folder (diffusers layout, ONNX) and print its pin')
    .option('--name <name>', "the checkpoint's name; default the folder's")
    .option('--tag <tag>', 'tag that will mean this pin', 'latest')
    .action(async (folder: string, { name, tag }: { name?: string; tag: string }) => {
      using store = context().openStore()
      const pin = await pushCheckpoint(store, folder, { tag, ...(name !== undefined && { name }) })
      context().print({ pin }, () => pin)
    })
  checkpoints
    .command('import <source>')
    .description(
      'bring a pipeline in ONNX from a folder or the Hugging Face hub (OWNER/NAME[@REVISION]); prints its pin',
    )
    .option('--revision <revision>', 'branch, tag or commit on the hub; default main')
    .option('--name <name>', "the checkpoint's name; default the folder's or the repository's")
    .option('--tag <tag>', 'tag that will mean this pin; the commit becomes one too', 'latest')
    .option('--cache-dir <folder>', 'where downloads are kept; default $HF_HUB_CACHE, $HF_HOME/hub')
    .option('--offline', 'use the cache alone; default where $HF_HUB_OFFLINE is 1')
    .option(
      '--token <token>',
      'for gated and private repositories; default $HF_TOKEN or what hf auth login saved, which other users of this machine do not see',
    )
    .option('--endpoint <url>', 'another hub; default $HF_ENDPOINT or https://huggingface.co')
    .action(async (source: string, { name, tag, revision, ...options }: ImportCommandOptions) => {
      using store = context().openStore()
      const imported = await importCheckpoint(store, source, {
        tag,
        ...(name !== undefined && { name }),
        ...(revision !== undefined && { revision }),
        hub: hubSettings(options, process.env),
        say: (line) => console.error(line),
      })
      context().print(imported, () => imported.pin)
    })
}
