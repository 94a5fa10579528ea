import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'

export function addCancel(program: Command, context: () => CommandContext): void {
  program
    .command('cancel <batch>')
    .description('end a batch; what is rendered stays')
    .action(async (id: string) => {
      const batch = await context().gateway.cancel(id)
      context().print(
        batch,
        () =>
          `${batch.id}  ${batch.state}: ${batch.items.rendered} items rendered, ${batch.itemCount - batch.items.rendered} not`,
      )
    })
}
