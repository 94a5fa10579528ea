import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { stateOf } from '../progress.ts'
import { table } from '../table.ts'

export function addList(program: Command, context: () => CommandContext): void {
  program
    .command('list')
    .description('list batches, newest first')
    .option('-n, --limit <n>', 'how many, up to 100', '20')
    .action(async ({ limit }: { limit: string }) => {
      const batches = await context().gateway.batches(Number(limit))
      const rows = batches.map((batch) => [
        batch.id,
        stateOf(batch),
        batch.itemCount,
        batch.items.rendered,
        batch.items.failed,
        batch.createdAt ?? '',
      ])
      context().print(batches, () => table(['batch', 'state', 'items', 'rendered', 'failed', 'created'], rows))
    })
}
