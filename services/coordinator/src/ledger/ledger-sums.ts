import type { LedgerDocument } from '@darkroom/proto'

export type Grouping = 'tenant' | 'checkpoint' | 'scheduler' | 'batch'

export interface LedgerSum {
  deviceSeconds: number
  images: number
  steps: number
  retries: number
  loadSeconds: number
  failedSeconds: number
}

/** What entries of the ledger sum to, by one of their names, and in all. */
export class LedgerSums {
  readonly #by: Grouping
  readonly groups = new Map<string, LedgerSum>()
  readonly total: LedgerSum = nothing()

  constructor(by: Grouping) {
    this.#by = by
  }

  add({ batchId, tenant, checkpoints }: LedgerDocument): void {
    for (const { checkpoint, retries, loadSeconds = 0, failedSeconds = 0, schedulers } of checkpoints) {
      // A shard may have several schedulers: its retries and loads are of none, nor what failed in it.
      const group = this.#by === 'scheduler' ? [] : [this.#group({ tenant, checkpoint, batch: batchId }[this.#by])]
      for (const sum of [this.total, ...group]) {
        sum.retries += retries
        sum.loadSeconds += loadSeconds
        sum.failedSeconds += failedSeconds
      }
      for (const { scheduler, images, steps, seconds } of schedulers) {
        const names = { tenant, checkpoint, scheduler, batch: batchId }
        for (const sum of [this.total, this.#group(names[this.#by])]) {
          sum.deviceSeconds += seconds
          sum.images += images
          sum.steps += steps
        }
      }
    }
  }

  #group(name: string): LedgerSum {
    let sum = this.groups.get(name)
    if (sum === undefined) this.groups.set(name, (sum = nothing()))
    return sum
  }
}

function nothing(): LedgerSum {
  return { deviceSeconds: 0, images: 0, steps: 0, retries: 0, loadSeconds: 0, failedSeconds: 0 }
}
