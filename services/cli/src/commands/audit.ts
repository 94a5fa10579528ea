import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { table } from '../table.ts'

export function addAudit(program: Command, context: () => CommandContext): void {
  program
    .command('audit')
    .description('who has changed what on one day: batches, cancellations, retries, keys (scope admin)')
    .option('--day <day>', 'YYYY-MM-DD in UTC; default today')
    .action(async ({ day }: { day?: string }) => {
      const entries = await context().gateway.audit(day)
      const rows = entries.map(({ at, action, subject, tenant, target, change }) => [
        at,
        action,
        subject,
        tenant,
        target,
        JSON.stringify(change),
      ])
      context().print(entries, () => table(['time', 'action', 'who', 'tenant', 'of', 'change'], rows))
    })
}
