import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { watchBatch } from './watch.ts'

export function addRetry(program: Command, context: () => CommandContext): void {
  program
    .command('retry <batch>')
    .description('render again what an ended batch left, failed or cancelled, as a new batch with the same seeds')
    .option('--items <ranges>', 'of what is left only these: 3,5-10,40-')
    .option('-w, --watch', 'follow it until it ends')
    .action(async (id: string, { watch, items }: { watch?: boolean; items?: string }) => {
      const { gateway, isJson, print } = context()
      const batch = await gateway.retry(id, items)
      const accepted = `${batch.id}  ${batch.itemCount} items of ${id} accepted again`
      if (watch !== true) return print(batch, () => `${accepted}\nfollow it: darkroom watch ${batch.id}`)
      if (!isJson) console.log(accepted)
      await watchBatch(gateway, batch.id, isJson)
    })
}
