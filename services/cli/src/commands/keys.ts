import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import type { KeyJson } from '../gateway-client.ts'
import { table } from '../table.ts'

const SCOPES = ['read', 'write', 'admin']

/** API keys of the farm: for who has the scope admin. */
export function addKeys(program: Command, context: () => CommandContext): void {
  const keys = program.command('keys').description('make, list, replace and revoke API keys (scope admin)')
  keys
    .command('list', { isDefault: true })
    .description('list keys, without their secrets')
    .action(async () => {
      const found = await context().gateway.keys()
      const rows = found.map(({ id, name, tenant, scopes, createdAt, expiresAt }) => [
        id,
        name,
        tenant,
        scopes.join(' '),
        createdAt,
        expiresAt ?? 'never',
      ])
      context().print(found, () => table(['id', 'name', 'tenant', 'scopes', 'made', 'ends'], rows))
    })
  keys
    .command('create <name>')
    .description('make a key; it is shown this once')
    .requiredOption('--tenant <tenant>', 'whose it is')
    .option('--scopes <scopes>', 'of read, write, admin, with commas', scopesOf, ['read', 'write'])
    .option('--expires <time>', 'such as 2027-01-01; default never')
    .action(async (name: string, options: { tenant: string; scopes: string[]; expires?: string }) => {
      const { tenant, scopes, expires } = options
      const expiresAt = expires === undefined ? undefined : new Date(expires).toISOString()
      show(await context().gateway.createKey({ name, tenant, scopes, ...(expiresAt !== undefined && { expiresAt }) }))
    })
  keys
    .command('rotate <id>')
    .description('make a key with the same rights; the old one works for a while longer')
    .option('--overlap <seconds>', 'for so long', '3600')
    .action(async (id: string, { overlap }: { overlap: string }) => {
      show(await context().gateway.rotateKey(id, Number(overlap)))
    })
  keys
    .command('revoke <id>')
    .description('end a key: every gateway refuses it within five seconds')
    .action(async (id: string) => {
      const key = await context().gateway.revokeKey(id)
      context().print(key, () => `${key.name} (${key.id}) has ended`)
    })

  const show = (key: KeyJson & { key: string }): void =>
    context().print(key, () => `${key.key}\n  ${key.name}: tenant ${key.tenant}, may ${key.scopes.join(', ')}`)
}

function scopesOf(text: string): string[] {
  const scopes = text.split(',').map((scope) => scope.trim())
  const wrong = scopes.find((scope) => !SCOPES.includes(scope))
  if (wrong !== undefined) throw new InvalidArgumentError(`${wrong} is no scope; want of ${SCOPES.join(', ')}.`)
  return scopes
}
