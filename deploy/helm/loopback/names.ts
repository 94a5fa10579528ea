import { renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const PRELOAD = pathToFileURL(path.join(import.meta.dirname, 'names.mjs')).href

/** What the cluster's DNS knows, and the addresses of loopback that pods have. */
export class Names {
  readonly #file: string
  readonly #addresses = new Map<string, Set<string>>()
  /** A network of its own, so that every pod has the ports of its manifest, beside other clusters on this machine. */
  readonly #network = `127.${1 + below(254)}.${below(255)}`
  #next = 2

  constructor(file: string) {
    this.#file = file
    this.#write()
  }

  newAddress(): string {
    return `${this.#network}.${this.#next++}`
  }

  add(name: string, address: string): void {
    this.#addresses.set(name, (this.#addresses.get(name) ?? new Set()).add(address))
    this.#write()
  }

  /** Whatever is at the address is there no more. */
  remove(address: string): void {
    for (const addresses of this.#addresses.values()) addresses.delete(address)
    this.#write()
  }

  addressesOf(name: string): readonly string[] {
    return [...(this.#addresses.get(name) ?? [])]
  }

  /** Has a Node process ask here. */
  get environment(): Record<string, string> {
    return { NODE_OPTIONS: `--import=${PRELOAD}`, LOOPBACK_NAMES: this.#file }
  }

  /** At once or not at all: it is read all the time. */
  #write(): void {
    const known = [...this.#addresses].map(([name, addresses]) => [name, [...addresses]] as const)
    writeFileSync(`${this.#file}.new`, JSON.stringify(Object.fromEntries(known)))
    renameSync(`${this.#file}.new`, this.#file)
  }
}

function below(limit: number): number {
  return Math.floor(Math.random() * limit)
}
