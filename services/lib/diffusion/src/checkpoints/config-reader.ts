/** Reads the parsed configs of a checkpoint, by path ("unet/config.json"), with errors that name file, key and value. */
export class ConfigReader {
  readonly #configs: Readonly<Record<string, unknown>>

  constructor(configs: Readonly<Record<string, unknown>>) {
    this.#configs = configs
  }

  has(file: string): boolean {
    return Object.hasOwn(this.#configs, file)
  }

  /** @throws TypeError */
  object(file: string): Readonly<Record<string, unknown>> {
    const value = this.#configs[file]
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new TypeError(`${file} is missing from the checkpoint or is not a JSON object.`)
    }
    return value as Record<string, unknown>
  }

  text(file: string, key: string): string {
    const value = this.object(file)[key]
    if (typeof value !== 'string') throw new TypeError(`${file}: ${key} is ${JSON.stringify(value)}, want a string.`)
    return value
  }

  number(file: string, key: string, fallback?: number): number {
    const value = this.object(file)[key] ?? fallback
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw new TypeError(`${file}: ${key} is ${JSON.stringify(value)}, want a number.`)
    }
    return value
  }

  integer(file: string, key: string, fallback?: number): number {
    const value = this.number(file, key, fallback)
    if (!Number.isInteger(value) || value < 1) {
      throw new TypeError(`${file}: ${key} is ${value}, want a positive integer.`)
    }
    return value
  }

  nullableInteger(file: string, key: string): number | null {
    return this.object(file)[key] == null ? null : this.integer(file, key)
  }

  nullableNumbers(file: string, key: string): readonly number[] | null {
    const value = this.object(file)[key]
    if (value == null) return null
    if (Array.isArray(value) && value.every((entry) => typeof entry === 'number')) return value
    throw new TypeError(`${file}: ${key} is ${JSON.stringify(value)}, want a list of numbers.`)
  }

  flag(file: string, key: string, fallback: boolean): boolean {
    return (this.object(file)[key] ?? fallback) === true
  }

  /** Levels of a UNet or VAE: each but the last halves the sides. */
  levels(file: string): number {
    const value = this.object(file)['block_out_channels']
    if (!Array.isArray(value) || value.length === 0) {
      throw new TypeError(`${file}: block_out_channels is ${JSON.stringify(value)}, want a list of channel counts.`)
    }
    return value.length
  }
}
