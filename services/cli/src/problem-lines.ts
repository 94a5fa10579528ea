import type { Problem } from '@darkroom/chassis'

const SHOWN = 20

/** One indented line for each problem: where it is, what was given, and what is wanted. */
export function problemLines(problems: readonly Problem[]): readonly string[] {
  return problems.slice(0, SHOWN).map(({ line, field, value, message }) => {
    const place = [line === undefined ? '' : `line ${line}`, field ?? ''].filter((part) => part !== '').join(', ')
    const given = value === undefined ? '' : ` = ${JSON.stringify(value)}`
    return `  ${[`${place}${given}`, message].filter((part) => part !== '').join(': ')}`
  })
}
