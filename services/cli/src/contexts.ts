import { DarkroomError } from '@darkroom/chassis'
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

type Environment = Readonly<Record<string, string | undefined>>

/** One farm that somebody has logged in to. */
export interface FarmLogin {
  readonly gateway: string
  /** Null where the gateway takes everybody. */
  readonly apiKey: string | null
}

interface ContextsDocument {
  readonly current: string | null
  readonly contexts: Readonly<Record<string, FarmLogin>>
}

const NOTHING: ContextsDocument = { current: null, contexts: {} }

/** The farms that this user has logged in to, in a file that no other user may read. */
export class Contexts {
  readonly file: string

  constructor(environment: Environment) {
    const folder = environment['XDG_CONFIG_HOME'] ?? path.join(environment['HOME'] ?? os.homedir(), '.config')
    this.file = path.join(folder, 'darkroom', 'config.json')
  }

  /** The one in use; null where there is none. */
  get current(): FarmLogin | null {
    const { current, contexts } = this.#read()
    return current === null ? null : (contexts[current] ?? null)
  }

  list(): readonly { readonly name: string; readonly isCurrent: boolean; readonly login: FarmLogin }[] {
    const { current, contexts } = this.#read()
    return Object.entries(contexts).map(([name, login]) => ({ name, isCurrent: name === current, login }))
  }

  /** Keeps a login under its name, and uses it from now on. */
  add(name: string, login: FarmLogin): void {
    const { contexts } = this.#read()
    this.#write({ current: name, contexts: { ...contexts, [name]: login } })
  }

  /** @throws DarkroomError NOT_FOUND */
  use(name: string): void {
    this.#write({ current: name, contexts: this.#with(name) })
  }

  /** @throws DarkroomError NOT_FOUND */
  remove(name: string): void {
    const { [name]: _removed, ...contexts } = this.#with(name)
    const { current } = this.#read()
    this.#write({ current: current === name ? null : current, contexts })
  }

  #with(name: string): ContextsDocument['contexts'] {
    const { contexts } = this.#read()
    if (Object.hasOwn(contexts, name)) return contexts
    const names = Object.keys(contexts)
    const known = names.length === 0 ? 'darkroom login URL makes the first' : `known: ${names.join(', ')}`
    throw new DarkroomError('NOT_FOUND', `no context ${name}; ${known}`)
  }

  #read(): ContextsDocument {
    let text: string
    try {
      text = readFileSync(this.file, 'utf8')
    } catch {
      return NOTHING
    }
    try {
      return { ...NOTHING, ...(JSON.parse(text) as Partial<ContextsDocument>) }
    } catch (reason) {
      throw new DarkroomError('INVALID_CONFIG', `${this.file} is no JSON: mend it, or delete it and log in again`, {
        cause: reason,
      })
    }
  }

  #write(document: ContextsDocument): void {
    mkdirSync(path.dirname(this.file), { recursive: true, mode: 0o700 })
    const next = `${this.file}.next`
    writeFileSync(next, `${JSON.stringify(document, null, 2)}\n`, { mode: 0o600 })
    chmodSync(next, 0o600)
    renameSync(next, this.file)
  }
}
