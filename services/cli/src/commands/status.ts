import type { Command } from 'commander'
import { batchNotes } from '../batch-notes.ts'
import type { CommandContext } from '../command-context.ts'
import type { BatchJson } from '../gateway-client.ts'
import { progressLine } from '../progress.ts'
import { table } from '../table.ts'

export function addStatus(program: Command, context: () => CommandContext): void {
  program
    .command('status <batch>')
    .description('show a batch: its state, counts and the throughput of each scheduler')
    .action(async (id: string) => {
      const { gateway } = context()
      const batch = await gateway.batch(id)
      context().print(batch, () => [progressLine(batch), schedulerTable(batch), ...batchNotes(batch)].join('\n'))
    })
}

/** Images of those that it has to make, and what one device makes in a second, for each scheduler of a batch. */
export function schedulerTable(batch: BatchJson): string {
  const rate = (count: number, seconds: number): number => (seconds > 0 ? Number((count / seconds).toFixed(2)) : 0)
  const rows = batch.schedulers
    .toSorted((a, b) => (a.scheduler < b.scheduler ? -1 : 1))
    .map(({ scheduler, images, imageCount, steps, seconds }) => [
      scheduler,
      images,
      imageCount ?? '?',
      Number(seconds.toFixed(1)),
      rate(images, seconds),
      rate(steps, seconds),
    ])
  return table(['scheduler', 'images', 'of', 'device s', 'images/s', 'steps/s'], rows)
}
