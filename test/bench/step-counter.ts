import type { Farm } from '@darkroom/local'

const METRIC = 'darkroom_denoise_steps_total'

/** Denoising steps that each worker of a farm has taken, by its own metric; of one that is gone, as it told last. */
export class StepCounter {
  readonly #farm: Pick<Farm, 'metricsUrls'>
  readonly #last = new Map<string, number>()
  readonly #before = new Map<string, number>()

  constructor(farm: Pick<Farm, 'metricsUrls'>) {
    this.#farm = farm
  }

  /** Counts from here. */
  async reset(): Promise<void> {
    await this.readAll()
    for (const [name, steps] of this.#last) this.#before.set(name, steps)
  }

  async readAll(): Promise<void> {
    const workers = Object.keys(this.#farm.metricsUrls).filter((name) => /\bworker-/.test(name))
    await Promise.all(workers.map((name) => this.read(name)))
  }

  async read(name: string): Promise<void> {
    const text = await (await fetch(this.#farm.metricsUrls[name]!)).text()
    const lines = text.split('\n').filter((line) => line.startsWith(`${METRIC}{`))
    const steps = lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
    this.#last.set(name, steps)
  }

  stepsOf(name: string): number {
    return (this.#last.get(name) ?? 0) - (this.#before.get(name) ?? 0)
  }

  get total(): number {
    return this.#last.keys().reduce((sum, name) => sum + this.stepsOf(name), 0)
  }
}
