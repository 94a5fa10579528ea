import type { Command } from 'commander'
import { batchNotes, isWhole } from '../batch-notes.ts'
import type { CommandContext } from '../command-context.ts'
import { EXIT } from '../exit-codes.ts'
import type { GatewayClient, PreviewJson } from '../gateway-client.ts'
import { openPreviewFolder } from '../preview-folder.ts'
import { showProgress } from '../show-progress.ts'
import { schedulerTable } from './status.ts'

export function addWatch(program: Command, context: () => CommandContext): void {
  program
    .command('watch <batch>')
    .description('follow a batch until it ends')
    .option(
      '--previews <folder>',
      'keep the newest preview of each image there as ITEM-N.jpg, of items that ask for previews',
    )
    .action(async (id: string, { previews }: { previews?: string }) => {
      const { gateway, isJson } = context()
      await gateway.batch(id)
      await watchBatch(gateway, id, isJson, previews === undefined ? undefined : await openPreviewFolder(previews))
    })
}

/** Shows a batch until it ends, then what became of it: progress and a table for people, a line of JSON for each change for programs. */
export async function watchBatch(
  gateway: GatewayClient,
  id: string,
  isJson: boolean,
  onPreview?: (preview: PreviewJson) => Promise<void>,
): Promise<void> {
  const updates = gateway.follow(id, new AbortController().signal, onPreview)
  if (isJson) for await (const batch of updates) console.log(JSON.stringify(batch))
  else await showProgress(updates, process.stdout)
  const batch = await gateway.batch(id)
  if (!isJson) for (const line of [schedulerTable(batch), ...batchNotes(batch)]) console.log(line)
  if (!isWhole(batch)) process.exitCode = EXIT.failed
}
