import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'

export function addCancel(program: Command, context: () => CommandContext): void {
  program
    .command('cancel <batch>')
    .description('end a batch, or some of its items; what is rendered stays')
    .option('--items <ranges>', 'only these, and go on with the others: 3,5-10,40-')
    .action(async (id: string, { items }: { items?: string }) => {
      const { gateway, print } = context()
      if (items !== undefined) {
        const batch = await gateway.update(id, { cancelItems: items })
        const text = `${batch.id}  goes on without items ${batch.cancelledItems}, ${batch.items.open} items open`
        return print(batch, () => text)
      }
      const batch = await gateway.cancel(id)
      const left = batch.itemCount - batch.items.rendered
      print(batch, () => `${batch.id}  ${batch.state}: ${batch.items.rendered} items rendered, ${left} not`)
    })
}
