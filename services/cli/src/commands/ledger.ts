import { Option } from 'commander'
import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import type { LedgerJson } from '../gateway-client.ts'
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
      const { from, to, by, lines, total, farm } = ledger
      const hasPrice = total.price !== null
      const isOfShards = by !== 'scheduler'
      const rows = [...lines, { name: 'total', ...total }].map(
        ({ name, deviceSeconds, images, steps, retries, loadSeconds, failedSeconds, price }) => [
          name,
          Number(deviceSeconds.toFixed(1)),
          images,
          steps,
          ...(isOfShards
            ? [retries ?? 0, Number((loadSeconds ?? 0).toFixed(1)), Number((failedSeconds ?? 0).toFixed(1))]
            : []),
          ...(hasPrice ? [(price ?? 0).toFixed(2)] : []),
        ],
      )
      const heads = [
        by,
        'device s',
        'images',
        'steps',
        ...(isOfShards ? ['retries', 'load s', 'failed s'] : []),
        ...(hasPrice ? ['price'] : []),
      ]
      const devices = farm === undefined || farm === null ? [] : ['', deviceTable(farm)]
      context().print(ledger, () => [`${from} to ${to}`, table(heads, rows), ...devices].join('\n'))
    })
}

/** What became of the time of all devices: each line is the sum of those that are further in. */
function deviceTable(farm: NonNullable<LedgerJson['farm']>): string {
  const { wallSeconds, renderSeconds, billedSeconds, unbilledSeconds, loadSeconds, idleSeconds } = farm
  const line = (name: string, seconds: number): (string | number)[] => [
    name,
    Number(seconds.toFixed(1)),
    wallSeconds === 0 ? 0 : Number(((100 * seconds) / wallSeconds).toFixed(1)),
  ]
  return table(
    ['all devices', 's', '%'],
    [
      line('there', wallSeconds),
      line('  rendering', renderSeconds),
      line('    billed', billedSeconds),
      line('    not billed', unbilledSeconds),
      line('  loading', loadSeconds),
      line('  idle', idleSeconds),
    ],
  )
}
