import type { Group } from './group.ts'

/** A group keeps its denoiser for so many times what a change of shapes takes. */
const SWITCHES_PER_TURN = 10

interface Turn {
  readonly group: Group
  readonly rows: number
  /** Device seconds since it began. */
  seconds: number
}

/** Whose turn it is with each checkpoint's denoiser, where it costs to change its shapes. */
export class Turns {
  /** By pin. */
  readonly #turns = new Map<string, Turn>()
  readonly #held = new Set<string>()

  /** Whether the group's denoiser may be called for it now. @param switchSeconds what a change of shapes takes, or is to count */
  allows({ key, pin }: Group, switchSeconds: number): boolean {
    if (this.#held.has(pin)) return false
    const turn = this.#turns.get(pin)
    if (turn === undefined || turn.group.key === key) return true
    const isInUse = turn.group.active.size > 0
    return !isInUse || turn.seconds >= SWITCHES_PER_TURN * switchSeconds
  }

  /** A call of the denoiser goes out. @returns whether its shapes are others than those before; null: unknown */
  begin(group: Group, rows: number): boolean | null {
    const before = this.#turns.get(group.pin)
    const isSameGroup = before?.group.key === group.key
    this.#turns.set(group.pin, { group, rows, seconds: isSameGroup ? before.seconds : 0 })
    return before === undefined ? null : !isSameGroup || before.rows !== rows
  }

  took({ pin, key }: Group, seconds: number): void {
    const turn = this.#turns.get(pin)
    if (turn?.group.key === key) turn.seconds += seconds
  }

  /** Nobody's turn while it lasts. */
  async hold<T>(pin: string, work: () => Promise<T>): Promise<T> {
    this.#held.add(pin)
    try {
      return await work()
    } finally {
      this.#held.delete(pin)
      this.#turns.delete(pin)
    }
  }

  forget(pin: string): void {
    this.#turns.delete(pin)
  }
}
