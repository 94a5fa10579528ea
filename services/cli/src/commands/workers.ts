import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { table } from '../table.ts'

export function addWorkers(program: Command, context: () => CommandContext): void {
  program
    .command('drain <worker>')
    .description('have a worker take nothing new, finish or hand back what it holds, and stop')
    .action(async (id: string) => {
      await context().gateway.drain(id)
      context().print({ id }, () => `${id}  drains: darkroom workers shows how far it is`)
    })
  program
    .command('workers')
    .description('list workers: device, why it was chosen, what runs')
    .action(async () => {
      const workers = await context().gateway.workers()
      const rows = workers.map(
        ({ id, state, quarantine, pool, device, residentCheckpoints, running, imagesRendered, busySeconds }) => [
          id,
          quarantine === null ? state : `quarantined: ${quarantine.replaceAll('_', ' ')}`,
          pool,
          device === null ? '' : `${device.kind} (${device.name})`,
          running.length,
          imagesRendered,
          Number(busySeconds.toFixed(1)),
          residentCheckpoints.map((pin) => pin.split('@')[0]).join(' '),
          device?.reason ?? '',
        ],
      )
      context().print(workers, () =>
        table(
          ['worker', 'state', 'pool', 'device', 'shards', 'images', 'busy s', 'checkpoints', 'why this device'],
          rows,
        ),
      )
    })
}
