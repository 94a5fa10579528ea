import { readFileSync, statSync } from 'node:fs'
import type { Variable } from '@darkroom/chassis'
import { isSame, sha256Hex } from './api-key.ts'

const MIN_CHARACTERS = 32
const LOOK_EVERY_MS = 2_000

/**
 * The operator's own keys: the lines of a file, such as a mounted Secret. They make the first keys, and work when the bucket's
 * are lost. The file is looked at again and again, so that a new line and then a line less rotate them without a restart.
 */
export class RootKeys {
  readonly #file: string
  #hashes: readonly string[]
  #changedAtMs: number
  #lookedAtMs: number

  private constructor(file: string, hashes: readonly string[], changedAtMs: number) {
    this.#file = file
    this.#hashes = hashes
    this.#changedAtMs = changedAtMs
    this.#lookedAtMs = changedAtMs
  }

  /** @throws Error a plain sentence: the file cannot be read, has no key, or one that is too short */
  static read(file: string): RootKeys {
    return new RootKeys(file, hashesOf(file), statSync(file).mtimeMs)
  }

  has(key: string, nowMs: number): boolean {
    if (nowMs - this.#lookedAtMs >= LOOK_EVERY_MS) this.#lookAgain(nowMs)
    const hash = sha256Hex(key)
    return this.#hashes.filter((known) => isSame(known, hash)).length > 0
  }

  /** What cannot be read, or is no file of keys, changes nothing. */
  #lookAgain(nowMs: number): void {
    this.#lookedAtMs = nowMs
    try {
      const { mtimeMs } = statSync(this.#file)
      if (mtimeMs === this.#changedAtMs) return
      this.#hashes = hashesOf(this.#file)
      this.#changedAtMs = mtimeMs
    } catch {
      // Looked at again soon.
    }
  }
}

/** A variable that names a file of root keys; null where it is not set. */
export function rootKeysFile(name: string, describe: string): Variable<RootKeys | null> {
  return {
    name,
    describe,
    defaultText: 'none',
    read(environment) {
      const file = environment[name]
      return file ? RootKeys.read(file) : null
    },
  }
}

function hashesOf(file: string): readonly string[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    throw new Error(`the file '${file}' cannot be read`)
  }
  const lines = text.split('\n').flatMap((line) => line.trim() || [])
  if (lines.length === 0) throw new Error(`the file '${file}' has no key: want one a line`)
  if (lines.some((line) => line.length < MIN_CHARACTERS)) {
    throw new Error(
      `the file '${file}' has a key of less than ${MIN_CHARACTERS} characters: openssl rand -hex 32 makes one`,
    )
  }
  return lines.map(sha256Hex)
}
