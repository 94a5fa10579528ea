import { listCheckpoints, pushCheckpoint } from '@darkroom/chassis'
import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { table } from '../table.ts'

export function addCheckpoints(program: Command, context: () => CommandContext): void {
  const checkpoints = program
    .command('checkpoints')
    .description('list and push checkpoints (needs DARKROOM_S3_* of the farm)')
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
}
