/** What a proof has counted and found so far. */
export class Audit {
  /** Sentences that begin with the invariant and name the object. */
  readonly violations: string[] = []
  readonly counts = { rendered: 0, failed: 0, cancelled: 0 }
  items = 0
  images = 0
  /** Images that their rendered items lack, and say so. */
  imagesFailed = 0
  shards = 0

  violate(sentence: string): void {
    this.violations.push(sentence)
  }

  /** Says so unless it holds. */
  check(holds: boolean, sentence: string): void {
    if (!holds) this.violate(sentence)
  }

  /** A line of JSON; null, and said so, where it is none. */
  parse(line: string, key: string): unknown {
    try {
      return JSON.parse(line)
    } catch {
      this.violate(`I1: ${key} has a line that is no JSON: ${line.slice(0, 80)}`)
      return null
    }
  }
}
