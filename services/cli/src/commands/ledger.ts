import { Option } from 'commander'
import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { table } from '../table.ts'

export function addLedger(program: Command, context: () => CommandContext): void {
  program
    .command('ledger')
    .description('what ended batches used, and its price')
    .option('--from <day>', 'the first day, YYYY-MM-DD in UTC; default: 30 days are told of')
    .option('--to <day>', 'the last day; default: today')
    .addOption(
      new Option('--by <name>', 'what to sum by')
        .choices(['tenant', 'checkpoint', 'scheduler', 'batch'])
        .default('tenant'),
    )
    .action(async (query: Record<string, string>) => {
      const ledger = await context().gateway.ledger(query)
      const { from, to, by, lines, total } = ledger
      const hasPrice = total.price !== null
      const isOfShards = by !== 'scheduler'
      const rows = [...lines, { name: 'total', ...total }].map(
        ({ name, deviceSeconds, images, steps, retries, loadSeconds, price }) => [
          name,
          Number(deviceSeconds.toFixed(1)),
          images,
          steps,
          ...(isOfShards ? [retries ?? 0, Number((loadSeconds ?? 0).toFixed(1))] : []),
          ...(hasPrice ? [(price ?? 0).toFixed(2)] : []),
        ],
      )
      const heads = [
        by,
        'device s',
        'images',
        'steps',
        ...(isOfShards ? ['retries', 'load s'] : []),
        ...(hasPrice ? ['price'] : []),
      ]
      context().print(ledger, () => `${from} to ${to}\n${table(heads, rows)}`)
    })
}
