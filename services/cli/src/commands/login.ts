import type { Command } from 'commander'
import { text } from 'node:stream/consumers'
import type { CommandContext } from '../command-context.ts'
import { GatewayClient } from '../gateway-client.ts'
import { table } from '../table.ts'

/** login, and the contexts that it makes. */
export function addLogin(program: Command, context: () => CommandContext): void {
  program
    .command('login <url>')
    .description('remember a gateway and a key for it; the key is read from standard input or $DARKROOM_API_KEY')
    .option('--name <name>', "the context's name; default the gateway's host")
    .option('--key-stdin', 'read the key from standard input')
    .addHelpText('after', '\nExample: darkroom login https://farm.example.com --key-stdin < key.txt')
    .action(async (url: string, { name, keyStdin }: { name?: string; keyStdin?: boolean }) => {
      const { contexts, environment } = context()
      const apiKey = keyStdin === true ? (await text(process.stdin)).trim() : (environment['DARKROOM_API_KEY'] ?? null)
      const me = await new GatewayClient(url, apiKey).me()
      const called = name ?? new URL(url).host
      contexts.add(called, { gateway: url.replace(/\/$/, ''), apiKey })
      context().print({ context: called, ...me }, () =>
        me.isOpen
          ? `${called}: this gateway takes everybody`
          : `${called}: tenant ${me.tenant}, may ${me.scopes.join(', ')}`,
      )
    })
  const commands = program
    .command('context')
    .description('list, choose and forget the farms that you have logged in to')
  commands
    .command('list', { isDefault: true })
    .description('list contexts')
    .action(() => {
      const found = context().contexts.list()
      const shown = found.map(({ name, isCurrent, login }) => ({
        name,
        isCurrent,
        gateway: login.gateway,
        hasKey: login.apiKey !== null,
      }))
      const rows = shown.map((one) => [one.isCurrent ? '*' : '', one.name, one.gateway, one.hasKey ? 'yes' : 'no'])
      context().print(shown, () =>
        rows.length === 0 ? 'none: darkroom login URL makes the first' : table(['', 'name', 'gateway', 'key'], rows),
      )
    })
  commands
    .command('use <name>')
    .description('use a context from now on')
    .action((name: string) => {
      context().contexts.use(name)
      context().print({ current: name }, () => `${name} is used from now on`)
    })
  commands
    .command('remove <name>')
    .description('forget a context and its key')
    .action((name: string) => {
      context().contexts.remove(name)
      context().print({ removed: name }, () => `${name} is forgotten`)
    })
}
