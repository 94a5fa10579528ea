import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { EXIT } from '../exit-codes.ts'
import { verifyBatch } from '../verify/verify-batch.ts'

export function addVerify(program: Command, context: () => CommandContext): void {
  program
    .command('verify <batch>')
    .description(
      'prove from the bucket alone that nothing of an ended batch is lost, doubled or changed (needs DARKROOM_S3_*)',
    )
    .action(async (id: string) => {
      using store = context().openStore()
      const report = await verifyBatch(store, id)
      context().print(report, () => {
        const { items, images, shards } = report.checked
        const facts = [
          `I1  ${items} items, each in exactly one terminal state: ${report.counts.rendered} rendered, ${report.counts.failed} failed, ${report.counts.cancelled} cancelled`,
          `I3  ${images} committed images, each there once, each with the bytes that its name says`,
          `I4  ${shards} shards, each with exactly one commit record that covers its items`,
          '    done.json, output.jsonl and errors.jsonl agree with the records',
        ]
        return report.violations.length === 0
          ? `${facts.join('\n')}\n${id} is clean`
          : [...report.violations, `${id}: ${report.violations.length} violations`].join('\n')
      })
      if (report.violations.length > 0) process.exitCode = EXIT.failed
    })
}
