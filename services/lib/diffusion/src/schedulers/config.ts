/** One config key: its default and the check that a value from a file must pass. */
export interface ConfigKey<T> {
  readonly default: T
  /** Returns null, or what was wanted instead. */
  readonly want: (value: unknown) => string | null
  /** For documents and JSON Schema. */
  readonly values?: readonly (T | string)[]
  /** What values of other classes become, so that a swap goes on from there as diffusers' does. */
  readonly taken?: Readonly<Record<string, T>>
}

export type ConfigKeys<C extends object> = { readonly [K in keyof C]: ConfigKey<C[K]> }

interface Range {
  readonly min?: number
  readonly max?: number
}

/** As the end of what is wanted: nobody is told of an infinity. */
function inRange(min: number, max: number): string {
  if (max !== Infinity) return min === -Infinity ? ` up to ${max}` : ` from ${min} to ${max}`
  return min === -Infinity ? '' : ` from ${min}`
}

export function numberKey(fallback: number, { min = -Infinity, max = Infinity }: Range = {}): ConfigKey<number> {
  const isFine = (value: unknown): boolean => typeof value === 'number' && value >= min && value <= max
  const wanted = `a number${inRange(min, max)}`
  return { default: fallback, want: (value) => (isFine(value) ? null : wanted) }
}

export function integerKey(fallback: number, { min = -Infinity, max = Infinity }: Range = {}): ConfigKey<number> {
  const isFine = (value: unknown): boolean =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
  const wanted = `an integer${inRange(min, max)}`
  return { default: fallback, want: (value) => (isFine(value) ? null : wanted) }
}

export function flagKey(fallback: boolean): ConfigKey<boolean> {
  return { default: fallback, want: (value) => (typeof value === 'boolean' ? null : 'true or false') }
}

export function choiceKey<const T extends string>(fallback: NoInfer<T>, values: readonly T[]): ConfigKey<T> {
  const isFine = (value: unknown): boolean => values.some((candidate) => candidate === value)
  return { default: fallback, values, want: (value) => (isFine(value) ? null : `one of ${values.join(', ')}`) }
}

/** A choice that takes the values that other classes have for the key, too, each for one of its own. */
export function adoptingKey<const T extends string>(
  fallback: NoInfer<T>,
  values: readonly T[],
  taken: Readonly<Record<string, NoInfer<T>>>,
): ConfigKey<T> {
  const own = choiceKey<T>(fallback, values)
  const want = (value: unknown): string | null => (Object.hasOwn(taken, String(value)) ? null : own.want(value))
  return { default: fallback, values: [...values, ...Object.keys(taken)], taken, want }
}

export function nullableNumberKey(): ConfigKey<number | null> {
  return { default: null, want: (value) => (value === null || typeof value === 'number' ? null : 'a number or null') }
}

export function nullableIntegerKey({ min = -Infinity, max = Infinity }: Range = {}): ConfigKey<number | null> {
  const isFine = (value: unknown): boolean =>
    value === null || (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max)
  const wanted = `an integer${inRange(min, max)}, or null`
  return { default: null, want: (value) => (isFine(value) ? null : wanted) }
}

function nullableChoiceKey<const T extends string>(values: readonly T[]): ConfigKey<T | null> {
  const isFine = (value: unknown): boolean => value === null || values.some((candidate) => candidate === value)
  return { default: null, values, want: (value) => (isFine(value) ? null : `one of ${values.join(', ')} or null`) }
}

export type VarianceType =
  | 'fixed_small'
  | 'fixed_small_log'
  | 'fixed_large'
  | 'fixed_large_log'
  | 'learned'
  | 'learned_range'

/** How much noise DDPM adds, which the solvers have for the channels of a learned variance, that they leave out. */
export function varianceKey(): ConfigKey<VarianceType | null> {
  return nullableChoiceKey([
    'fixed_small',
    'fixed_small_log',
    'fixed_large',
    'fixed_large_log',
    'learned',
    'learned_range',
  ])
}

export type TimeShift = 'exponential' | 'linear'

/** How `mu` shifts the levels of a flow. */
export function timeShiftKey(): ConfigKey<TimeShift> {
  return choiceKey<TimeShift>('exponential', ['exponential', 'linear'])
}

/** A number that may be minus infinity, which JSON cannot say: null and "-inf" stand for it too. */
export function boundKey(): ConfigKey<number | '-inf' | null> {
  const isFine = (value: unknown): boolean => value === null || value === '-inf' || typeof value === 'number'
  return { default: null, want: (value) => (isFine(value) ? null : 'a number, "-inf" or null') }
}

export function nullableListKey(): ConfigKey<readonly number[] | null> {
  const isFine = (value: unknown): boolean =>
    value === null || (Array.isArray(value) && value.length > 0 && value.every((entry) => typeof entry === 'number'))
  return { default: null, want: (value) => (isFine(value) ? null : 'a list of numbers or null') }
}

/** A list of step indices. */
export function indexListKey(): ConfigKey<readonly number[]> {
  const isFine = (value: unknown): boolean => Array.isArray(value) && value.every((entry) => Number.isInteger(entry))
  return { default: [], want: (value) => (isFine(value) ? null : 'a list of integers') }
}

/** A key that diffusers has for objects in memory: a saved config can only say null. */
export function nullKey(): ConfigKey<null> {
  return { default: null, want: (value) => (value === null ? null : 'null') }
}

export type BetaSchedule = 'linear' | 'scaled_linear' | 'squaredcos_cap_v2' | 'exp' | 'sigmoid' | 'laplace'

/** Keys of the noise schedule, the same in every class that is trained on betas. */
export interface BetaConfig {
  num_train_timesteps: number
  beta_start: number
  beta_end: number
  beta_schedule: BetaSchedule
  trained_betas: readonly number[] | null
}

export function betaKeys(schedules: readonly BetaSchedule[]): ConfigKeys<BetaConfig> {
  return {
    num_train_timesteps: integerKey(1000, { min: 1, max: 1_000_000 }),
    beta_start: numberKey(0.0001, { min: 0, max: 1 }),
    beta_end: numberKey(0.02, { min: 0, max: 1 }),
    beta_schedule: choiceKey<BetaSchedule>('linear', schedules),
    trained_betas: nullableListKey(),
  }
}
