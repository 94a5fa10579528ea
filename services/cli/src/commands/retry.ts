import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { watchBatch } from './watch.ts'

export function addRetry(program: Command, context: () => CommandContext): void {
  program
    .command('retry <batch>')
    .description('render again what an ended batch left, failed or cancelled, as a new batch with the same seeds')
    .option('-w, --watch', 'follow it until it ends')
    .action(async (id: string, { watch }: { watch?: boolean }) => {
      const { gateway, isJson, print } = context()
      const batch = await gateway.retry(id)
      const accepted = `${batch.id}  ${batch.itemCount} items of ${id} accepted again`
      if (watch !== true) return print(batch, () => `${accepted}\nfollow it: darkroom watch ${batch.id}`)
      if (!isJson) console.log(accepted)
      await watchBatch(gateway, batch.id, isJson)
    })
}
