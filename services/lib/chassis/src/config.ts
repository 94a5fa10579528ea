import { readFileSync } from 'node:fs'
import { delimiter, isAbsolute } from 'node:path'
import { DarkroomError } from './errors.ts'
import type { Problem } from './errors.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** One environment variable: its name, how its text becomes a value, and what the README says of it. */
export interface Variable<T> {
  readonly name: string
  readonly describe: string
  /** What the README's table shows; null where the variable is required. */
  readonly defaultText: string | null
  /** Returns the value or throws a plain sentence ("want an integer, got 'abc'"). */
  read(environment: Environment): T
}

export type VariableTable = Readonly<Record<string, Variable<unknown>>>
export type Values<T extends VariableTable> = { readonly [K in keyof T]: T[K] extends Variable<infer V> ? V : never }

/** A value that neither logs nor JSON can print. */
export class Secret {
  readonly #value: string
  constructor(value: string) {
    this.#value = value
  }
  reveal(): string {
    return this.#value
  }
  toJSON(): string {
    return '[secret]'
  }
  toString(): string {
    return '[secret]'
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]'
  }
}

/**
 * Reads every variable of the table.
 * @throws DarkroomError INVALID_CONFIG whose `problems` name every variable that is missing or malformed
 */
export function readConfig<T extends VariableTable>(table: T, environment: Environment): Values<T> {
  const values: Record<string, unknown> = {}
  const problems: Problem[] = []
  for (const [key, variable] of Object.entries(table)) {
    try {
      values[key] = variable.read(environment)
    } catch (reason) {
      problems.push({ field: variable.name, message: (reason as Error).message })
    }
  }
  if (problems.length > 0) {
    const lines = problems.map(({ field, message }) => `${field}: ${message}`)
    throw new DarkroomError('INVALID_CONFIG', `the environment is not usable: ${lines.join('; ')}`, { problems })
  }
  return Object.freeze(values) as Values<T>
}

function variable<T>(name: string, describe: string, fallback: T | undefined, parse: (text: string) => T): Variable<T> {
  return {
    name,
    describe,
    defaultText: fallback === undefined ? null : String(fallback),
    read(environment) {
      const value = environment[name]
      if (value !== undefined && value !== '') return parse(value)
      if (fallback === undefined) throw new Error('is required but not set')
      return fallback
    },
  }
}

export function text(name: string, describe: string, fallback?: string): Variable<string> {
  return variable(name, describe, fallback, (value) => value)
}

interface Range {
  readonly min?: number
  readonly max?: number
}

function inRange(value: number, { min = -Infinity, max = Infinity }: Range): number {
  if (value >= min && value <= max) return value
  const want =
    max === Infinity ? `of ${min} or more` : min === -Infinity ? `of ${max} or less` : `from ${min} to ${max}`
  throw new Error(`want a number ${want}, got ${value}`)
}

export function integer(name: string, describe: string, fallback?: number, range: Range = {}): Variable<number> {
  return variable(name, describe, fallback, (value) => {
    if (!/^[+-]?\d+$/.test(value.trim())) throw new Error(`want an integer, got '${value}'`)
    return inRange(Number(value), range)
  })
}

export function number(name: string, describe: string, fallback?: number, range: Range = {}): Variable<number> {
  return variable(name, describe, fallback, (value) => {
    const parsed = Number(value)
    if (value.trim() === '' || !Number.isFinite(parsed)) throw new Error(`want a number, got '${value}'`)
    return inRange(parsed, range)
  })
}

export function flag(name: string, describe: string, fallback?: boolean): Variable<boolean> {
  return variable(name, describe, fallback, (value) => {
    if (value === 'true' || value === '1') return true
    if (value === 'false' || value === '0') return false
    throw new Error(`want true or false, got '${value}'`)
  })
}

export function oneOf<const T extends string>(
  name: string,
  describe: string,
  values: readonly T[],
  fallback?: T,
): Variable<T> {
  return variable(name, describe, fallback, (value) => {
    const found = values.find((candidate) => candidate === value)
    if (found === undefined) throw new Error(`want one of ${values.join(', ')}, got '${value}'`)
    return found
  })
}

/** Comma-separated, at least one entry. */
export function list(name: string, describe: string, fallback?: string): Variable<readonly string[]> {
  const parse = (value: string): readonly string[] => {
    const entries = value.split(',').map((entry) => entry.trim())
    if (entries.some((entry) => entry === ''))
      throw new Error(`want a comma-separated list without empty entries, got '${value}'`)
    return entries
  }
  const inner = variable(name, describe, fallback, (value) => value)
  return { ...inner, read: (environment) => parse(inner.read(environment)) }
}

/** As PATH lists them; none where it is not set. */
export function folders(name: string, describe: string): Variable<readonly string[]> {
  const inner = variable(name, describe, '', (value) => value)
  const parse = (value: string): readonly string[] => {
    const entries = value.split(delimiter).filter((entry) => entry !== '')
    const relative = entries.find((entry) => !isAbsolute(entry))
    if (relative !== undefined) throw new Error(`want absolute folders separated by '${delimiter}', got '${relative}'`)
    return entries
  }
  return { ...inner, defaultText: 'none', read: (environment) => parse(inner.read(environment)) }
}

export function url(name: string, describe: string, fallback?: string): Variable<string> {
  return variable(name, describe, fallback, (value) => {
    if (!URL.canParse(value)) throw new Error(`want a URL such as http://127.0.0.1:9000, got '${value}'`)
    return value
  })
}

function secretIn(file: string, name: string): string {
  let text: string
  try {
    text = readFileSync(file, 'utf8').trim()
  } catch {
    throw new Error(`the file '${file}' of ${name} cannot be read`)
  }
  if (text === '') throw new Error(`the file '${file}' of ${name} is empty`)
  return text
}

/** From NAME, or from the file that NAME_FILE names. */
export function secret(name: string, describe: string): Variable<Secret> {
  return {
    name,
    describe: `${describe}; or ${name}_FILE, a file that holds it`,
    defaultText: null,
    read(environment) {
      const value = environment[name]
      const file = environment[`${name}_FILE`]
      if (value && file) throw new Error(`is set twice: unset ${name} or ${name}_FILE`)
      if (value) return new Secret(value)
      if (!file) throw new Error(`is required but not set (nor is ${name}_FILE)`)
      return new Secret(secretIn(file, `${name}_FILE`))
    },
  }
}

/** Null where the variable is not set; a malformed value is still an error. */
export function optional<T>(inner: Variable<T>): Variable<T | null> {
  return {
    name: inner.name,
    describe: inner.describe,
    defaultText: 'none',
    read: (environment) =>
      environment[inner.name] || environment[`${inner.name}_FILE`] ? inner.read(environment) : null,
  }
}
