import { readFileSync } from 'node:fs'
import path from 'node:path'

const DOCKERFILE = path.join(import.meta.dirname, 'Dockerfile')

export interface Stage {
  readonly name: string
  readonly from: string
  readonly instructions: readonly { readonly name: string; readonly text: string }[]
}

/** How a container of an image is started. */
export interface ImageSettings {
  readonly entrypoint: readonly string[]
  readonly user: string
  readonly env: Readonly<Record<string, string>>
}

/** The stages of the Dockerfile, by name; ARG in FROM is filled in. */
export function stagesOf(text = readFileSync(DOCKERFILE, 'utf8')): ReadonlyMap<string, Stage> {
  const lines = text
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '')
  const instructions = lines.map((line) => {
    const [, name, rest] = /^([A-Z]+) (.*)$/.exec(line) ?? []
    if (name === undefined || rest === undefined) throw new Error(`the Dockerfile has a line that is none: ${line}`)
    return { name, text: rest }
  })
  const args = new Map<string, string>()
  const stages = new Map<string, Stage & { instructions: { name: string; text: string }[] }>()
  for (const { name, text: rest } of instructions) {
    if (name === 'ARG') {
      const [key, value] = rest.split('=', 2)
      args.set(key!, value!)
    } else if (name === 'FROM') {
      const [from, stage] = rest.split(' AS ')
      const filled = from!.replace(/^\$\{(\w+)\}$/, (_, key: string) => args.get(key)!)
      stages.set(stage!, { name: stage!, from: filled, instructions: [] })
    } else [...stages.values()].at(-1)!.instructions.push({ name, text: rest })
  }
  return stages
}

export function settingsOf(stage: Stage): ImageSettings {
  const texts = (name: string): string[] =>
    stage.instructions.filter((one) => one.name === name).map(({ text }) => text)
  return {
    entrypoint: JSON.parse(texts('ENTRYPOINT')[0]!) as string[],
    user: texts('USER')[0]!,
    env: Object.fromEntries(texts('ENV').flatMap((text) => text.split(' ').map((pair) => pair.split('=', 2)))),
  }
}

/** Commands that build what an image is laid out in, with the shell's own words. */
export function commandsOf(stage: Stage): readonly string[] {
  return stage.instructions.filter(({ name }) => name === 'RUN').map(({ text }) => text)
}
