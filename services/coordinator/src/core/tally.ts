/** What one scheduler did: images, the model calls that were made for them, engine seconds. */
export interface SchedulerTally {
  readonly scheduler: string
  readonly images: number
  readonly steps: number
  readonly seconds: number
}

export type Tallies = Map<string, SchedulerTally>

export function addTally(tallies: Tallies, { scheduler, images, steps, seconds }: SchedulerTally): void {
  const sum = tallies.get(scheduler)
  tallies.set(scheduler, {
    scheduler,
    images: images + (sum?.images ?? 0),
    steps: steps + (sum?.steps ?? 0),
    seconds: seconds + (sum?.seconds ?? 0),
  })
}
