import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'

/** pause, resume, approve, priority and deadline: what may be changed of a batch that is open. */
export function addControl(program: Command, context: () => CommandContext): void {
  program
    .command('pause <batch>')
    .description('start nothing of a batch, or of some of its items, any more; what runs goes on')
    .option('--items <ranges>', 'only these, and what is rendered together with them: 3,5-10,40-')
    .action(async (id: string, { items }: { items?: string }) => {
      const change = items === undefined ? { paused: true } : { pauseItems: items }
      const batch = await context().gateway.update(id, change)
      const { pausedItems } = batch
      const what = batch.paused ? 'paused' : `items ${pausedItems} paused`
      const resume = `darkroom resume ${batch.id}${batch.paused ? '' : ` --items ${pausedItems}`}`
      context().print(batch, () => `${batch.id}  ${what}, ${batch.items.open} items open: ${resume}`)
    })
  program
    .command('resume <batch>')
    .description('go on with a batch, or with items, that were paused')
    .option('--items <ranges>', 'only these: 3,5-10,40-')
    .action(async (id: string, { items }: { items?: string }) => {
      const change = items === undefined ? { paused: false } : { resumeItems: items }
      const batch = await context().gateway.update(id, change)
      const left = batch.paused || !batch.pausedItems ? '' : `, items ${batch.pausedItems} still paused`
      context().print(batch, () => `${batch.id}  goes on, ${batch.items.open} items open${left}`)
    })
  program
    .command('approve <batch>')
    .description('say yes to the first items of a batch: the others, which wait for that, start')
    .action(async (id: string) => {
      const batch = await context().gateway.update(id, { approved: true })
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
  program
    .command('deadline <batch>')
    .argument('<time>', 'such as 2026-12-01T08:00, in your time, or with a zone', time)
    .description('say when a batch is wanted: it is shown as at risk before that is missed')
    .action(async (id: string, completeBy: string) => {
      const batch = await context().gateway.update(id, { completeBy })
      const risk = batch.atRisk ? ', which it will miss at its rate: darkroom priority brings it forward' : ''
      context().print(batch, () => `${batch.id}  is wanted by ${batch.completeBy}${risk}`)
    })
}

function time(text: string): string {
  const date = new Date(text)
  if (Number.isNaN(date.getTime()))
    throw new InvalidArgumentError(`${text} is no time; want one such as 2026-12-01T08:00.`)
  return date.toISOString()
}

function integer(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new InvalidArgumentError(`priority ${text} is no whole number.`)
  return Number(text)
}
