/** Draws numbers that a seed decides: mulberry32. */
export class Draw {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  /** From 0 to `limit`, that excluded. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!
  }
}

type Mutation = (sound: Buffer, draw: Draw) => Buffer

const insert =
  (what: (draw: Draw) => Buffer): Mutation =>
  (sound, draw) => {
    const at = draw.below(sound.length + 1)
    return Buffer.concat([sound.subarray(0, at), what(draw), sound.subarray(at)])
  }

/** What happens to bodies on their way, by accident or on purpose. */
export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'cut off': (sound, draw) => sound.subarray(0, draw.below(sound.length)),
  'without its beginning': (sound, draw) => sound.subarray(1 + draw.below(sound.length - 1)),
  'with a few bytes changed': (sound, draw) => {
    const changed = Buffer.from(sound)
    for (let left = 1 + draw.below(8); left > 0; left--) changed[draw.below(changed.length)] = draw.below(256)
    return changed
  },
  'with a piece twice': (sound, draw) => {
    const [a, b] = [draw.below(sound.length), draw.below(sound.length)].sort((one, other) => one - other)
    return Buffer.concat([sound.subarray(0, b), sound.subarray(a)])
  },
  'with two pieces exchanged': (sound, draw) => {
    const at = draw.below(sound.length)
    return Buffer.concat([sound.subarray(at), sound.subarray(0, at)])
  },
  'with NULs': insert((draw) => Buffer.alloc(1 + draw.below(100))),
  'with a huge line': insert(() => Buffer.alloc(3 << 20, 'a')),
  'with brackets 100,000 deep': insert((draw) => Buffer.alloc(100_000, draw.pick(['[', '{"a":', '(']))),
  'with newlines of all kinds': insert((draw) =>
    Buffer.from(draw.pick(['\r', '\r\n\r\n', '\u2028', '\u0085', '\v\f'])),
  ),
  'with half a surrogate pair': insert((draw) => Buffer.from(draw.pick(['\\ud800', '\\udfff\\ud800']))),
  'with bytes that UTF-8 has not': insert((draw) =>
    Buffer.from(draw.pick(['c080', 'ff', 'eda080', 'f8888080']), 'hex'),
  ),
  'in UTF-16': (sound) => Buffer.from(sound.toString('latin1'), 'utf16le'),
  'behind a byte order mark': (sound) => Buffer.concat([Buffer.from('efbbbf', 'hex'), sound]),
  'as the file of a zip': (sound) => Buffer.concat([Buffer.from('504b030414000000', 'hex'), sound]),
  'with a number that is none': insert((draw) =>
    Buffer.from(draw.pick(['1e999', '-0', 'NaN', '0x10', '1'.repeat(400)])),
  ),
  'with a key of Object': insert((draw) => Buffer.from(draw.pick(['"__proto__":{"x":1},', '"constructor":1,']))),
}
