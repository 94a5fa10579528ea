import { settingsOf } from './settings.ts'
import type { Role } from './settings.ts'
import type { ChartValue } from './values.ts'

const BEGIN = '<!-- made by node deploy/helm/write.ts -->'
const END = '<!-- end -->'

/** The chart's README with its tables made anew: one of values, and one of settings for each service. */
export function readmeWith(readme: string, values: readonly ChartValue[]): string {
  const [before, rest] = readme.split(BEGIN, 2)
  const after = rest?.split(END, 2)[1]
  if (before === undefined || after === undefined) throw new Error(`README.md of the chart lacks ${BEGIN} or ${END}`)
  const tables = [
    '## Values',
    table(values.map(({ path, fallback, describe }) => [`\`${path}\``, shown(fallback), describe])),
    '## Settings of the services',
    'Keys of `gateway.config`, `coordinator.config` and the `config` of a pool. Each is the variable of the same name: `maxItems` of the gateway is `DARKROOM_GATEWAY_MAX_ITEMS`.',
    ...(['GATEWAY', 'COORDINATOR', 'WORKER'] as const).flatMap((role) => [`### ${TITLES[role]}`, settingsTable(role)]),
  ]
  return `${before}${BEGIN}\n\n${tables.join('\n\n')}\n\n${END}${after}`
}

const TITLES: Readonly<Record<Role, string>> = {
  GATEWAY: '`gateway.config`',
  COORDINATOR: '`coordinator.config`',
  WORKER: '`workers.pools.NAME.config`',
}

function settingsTable(role: Role): string {
  return table(settingsOf(role).map(({ key, defaultText, describe }) => [`\`${key}\``, `\`${defaultText}\``, describe]))
}

function shown(fallback: unknown): string {
  return `\`${typeof fallback === 'string' ? fallback || '""' : JSON.stringify(fallback)}\``
}

function table(rows: readonly (readonly string[])[]): string {
  const lines = rows.map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
  return ['| key | default | |', '|---|---|---|', ...lines].join('\n')
}
