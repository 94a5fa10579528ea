const INTERVAL_MS = 2_000

/** Lines for people about files on their way: one every few seconds for a large one, one when it is there. */
export class ImportProgress {
  readonly #say: (line: string) => void

  constructor(say: (line: string) => void) {
    this.#say = say
  }

  /** Follows one download of `size` bytes; call what it returns with every chunk's bytes. */
  follow(path: string, size: number): { readonly received: (bytes: number) => void; readonly done: () => void } {
    const startedAt = performance.now()
    let saidAt = startedAt
    let received = 0
    const rate = (): string => `${amount((received / Math.max(1, performance.now() - startedAt)) * 1000)}/s`
    return {
      received: (bytes) => {
        received += bytes
        if (performance.now() - saidAt < INTERVAL_MS) return
        saidAt = performance.now()
        this.#say(`${path}  ${amount(received)} of ${amount(size)} came  ${rate()}`)
      },
      done: () => this.#say(`${path}  ${amount(size)}  ${rate()}`),
    }
  }

  /** A file that need not move. */
  note(path: string, size: number, why: string): void {
    this.#say(`${path}  ${amount(size)}  ${why}`)
  }
}

function amount(bytes: number): string {
  return bytes < 1e5 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
}
