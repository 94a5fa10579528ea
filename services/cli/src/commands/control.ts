import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'

/** pause, resume and priority: what may be changed of a batch that is open. */
export function addControl(program: Command, context: () => CommandContext): void {
  program
    .command('pause <batch>')
    .description('start nothing of a batch any more; what runs goes on')
    .action(async (id: string) => {
      const batch = await context().gateway.update(id, { paused: true })
      context().print(batch, () => `${batch.id}  paused, ${batch.items.open} items open: darkroom resume ${batch.id}`)
    })
  program
    .command('resume <batch>')
    .description('go on with a batch that was paused')
    .action(async (id: string) => {
      const batch = await context().gateway.update(id, { paused: false })
      context().print(batch, () => `${batch.id}  goes on, ${batch.items.open} items open`)
    })
  program
    .command('priority <batch>')
    .argument('<number>', 'all begin with 0', integer)
    .description('of the open batches of a tenant the one with the higher number goes first')
    .action(async (id: string, priority: number) => {
      const batch = await context().gateway.update(id, { priority })
      context().print(batch, () => `${batch.id}  has priority ${batch.priority}`)
    })
}

function integer(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new InvalidArgumentError(`priority ${text} is no whole number.`)
  return Number(text)
}
