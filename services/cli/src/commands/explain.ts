import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'

export function addExplain(program: Command, context: () => CommandContext): void {
  program
    .command('explain <batch> <item>')
    .description('why an item, by its index, is where it is, and what would get it on')
    .action(async (id: string, item: string) => {
      const explanation = await context().gateway.explain(id, item)
      const { reason, message, remedy, shardId } = explanation
      context().print(explanation, () =>
        [
          `item ${item} of ${id}${shardId === null ? '' : `, shard ${shardId}`}: ${reason.replaceAll('_', ' ')}`,
          `  ${message}`,
          ...(remedy === null ? [] : [`  ${remedy}`]),
        ].join('\n'),
      )
    })
}
