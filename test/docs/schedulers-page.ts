import { SAMPLERS, SCHEDULERS, SPACINGS } from '@darkroom/diffusion'
import type { AnyScheduler, ConfigKey, SchedulerName } from '@darkroom/diffusion'

const HEAD = `# Schedulers

Every diffusion scheduler by diffusers' class name, with the same numbers as huggingface/diffusers 0.40. This page is made
from the registry by \`npm run docs\`; \`test/docs\` holds it to that.

An item names one as \`scheduler\`, or by what A1111 and ComfyUI call it; \`schedulerConfig\` overrides the keys of its config.
Keys that an item does not name are the checkpoint's own, and where that says nothing the class's default.
`

/** docs/schedulers.md. */
export function schedulersPage(): string {
  const names = Object.keys(SCHEDULERS) as SchedulerName[]
  return [HEAD, overview(names), aliases(), ...names.map(details)].join('\n')
}

function overview(names: readonly SchedulerName[]): string {
  const rows = names.map((name) => {
    const { about } = SCHEDULERS[name] as AnyScheduler
    const { origin } = about
    const papers = about.papers.map((id) => `[${id}](https://arxiv.org/abs/${id})`)
    const from = origin === undefined ? papers : [...papers, `none: [${origin.name}](${origin.url})`]
    const other = aliasesOf(name).join(', ')
    return `| [${name}](#${name.toLowerCase()}) | ${from.join(', ')} | ${about.evaluations} | ${about.stochastic} | ${other} |`
  })
  return `| class | paper | model calls per step | draws noise | also called ([with what](#names-of-other-programs)) |
|---|---|---|---|---|
${rows.join('\n')}
`
}

function aliasesOf(name: string): string[] {
  return SAMPLERS.filter(({ scheduler }) => scheduler === name).flatMap(({ a1111, comfyui }) =>
    [a1111, comfyui].filter((alias) => alias !== undefined),
  )
}

function aliases(): string {
  const rows = SAMPLERS.map(
    ({ a1111 = '', comfyui = '', scheduler, config }) => `| ${a1111} | ${comfyui} | ${scheduler} | ${shown(config)} |`,
  )
  const spacings = Object.entries(SPACINGS).map(([name, config]) => `| ${name} | ${shown(config)} |`)
  return `## Names of other programs

| A1111 | ComfyUI | class | with |
|---|---|---|---|
${rows.join('\n')}

Behind such a name the spacing of noise levels may stand, as in "DPM++ 2M Karras":

| spacing | with |
|---|---|
${spacings.join('\n')}

DPM++ 2S a, DPM fast and DPM adaptive have no counterpart.
`
}

function details(name: SchedulerName): string {
  const { about, keys } = SCHEDULERS[name] as AnyScheduler
  const rows = Object.entries(keys as Readonly<Record<string, ConfigKey<unknown>>>).map(
    ([key, { default: fallback, want, values }]) => {
      const choices = values?.map((value) => JSON.stringify(value)).concat(want(null) === null ? 'null' : [])
      // What it says to a value of no type is all that it takes.
      return `| ${key} | ${JSON.stringify(fallback)} | ${choices?.join(', ') ?? want(undefined)} |`
    },
  )
  return `## ${name}

diffusers \`${about.source}\`

| key | default | values |
|---|---|---|
${rows.join('\n')}
`
}

function shown(config: Readonly<Record<string, unknown>>): string {
  return Object.entries(config)
    .map(([key, value]) => `\`${key}: ${String(value)}\``)
    .join(', ')
}
