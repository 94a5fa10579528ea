import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const PIECE = Buffer.alloc(1 << 20)

/** A disk of its own, in memory, that can be filled. Needs the right to mount. */
export class SmallDisk implements Disposable {
  readonly #folder: string

  /** @throws Error where nothing may be mounted */
  constructor(folder: string, mebibytes: number) {
    this.#folder = folder
    mkdirSync(folder, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'darkroom-chaos', folder], { stdio: 'pipe' })
  }

  /** To the last byte. */
  fill(): void {
    const ballast = path.join(this.#folder, 'ballast')
    mkdirSync(ballast, { recursive: true })
    for (const size of [PIECE.length, 4096])
      for (let n = 0; this.#isWritten(path.join(ballast, `${size}-${n}`), size); n++);
  }

  free(): void {
    rmSync(path.join(this.#folder, 'ballast'), { recursive: true, force: true })
  }

  #isWritten(file: string, bytes: number): boolean {
    try {
      writeFileSync(file, PIECE.subarray(0, bytes))
      return true
    } catch (reason) {
      if ((reason as NodeJS.ErrnoException).code !== 'ENOSPC') throw reason
      return false
    }
  }

  [Symbol.dispose](): void {
    execFileSync('umount', ['-l', this.#folder], { stdio: 'pipe' })
  }
}
