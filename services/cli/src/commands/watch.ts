import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { EXIT } from '../exit-codes.ts'
import { showProgress } from '../progress.ts'
import { schedulerTable } from './status.ts'

export function addWatch(program: Command, context: () => CommandContext): void {
  program
    .command('watch <batch>')
    .description('follow a batch until it ends')
    .action(async (id: string) => {
      const { gateway, isJson } = context()
      await gateway.batch(id)
      const updates = gateway.follow(id, new AbortController().signal)
      if (isJson) {
        for await (const batch of updates) console.log(JSON.stringify(batch))
        return
      }
      await showProgress(updates, process.stdout.isTTY)
      const batch = await gateway.batch(id)
      console.log(schedulerTable(batch))
      if (batch.items.failed > 0) {
        console.log(`${batch.items.failed} items failed: darkroom download ${id} brings errors.jsonl`)
        process.exitCode = EXIT.failed
      }
    })
}
