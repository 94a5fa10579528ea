import type { Command } from 'commander'
import { writeFile } from 'node:fs/promises'
import type { CommandContext } from '../command-context.ts'

export function addContactSheet(program: Command, context: () => CommandContext): void {
  program
    .command('contact-sheet <batch>')
    .description('fetch all pictures of a batch on one, by what they differ in')
    .option('-o, --out <file>', "default: the batch's id, .png")
    .action(async (id: string, { out = `${id}.png` }: { out?: string }) => {
      await writeFile(out, await context().gateway.contactSheet(id))
      context().print({ file: out }, () => out)
    })
}
