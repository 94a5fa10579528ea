import type { ConfigKey } from './config.ts'
import { isSchedulerName, SCHEDULERS } from './registry.ts'
import type { SchedulerName } from './registry.ts'
import type { AnyScheduler } from './scheduler.ts'

type Json = Readonly<Record<string, unknown>>

export interface SchedulerChoice {
  readonly name: SchedulerName
  readonly scheduler: AnyScheduler
  /** Every key of the class, its default where nobody set it. */
  readonly config: Json
  /** As it would be saved: the class name, the config and the keys that other classes know (they survive a swap back). */
  readonly json: Json
  /** Keys that the class does not have. */
  readonly unknownKeys: readonly string[]
}

/**
 * Makes a scheduler of class `name` from the config of another, as diffusers' `from_config` does: keys that the class knows are
 * taken, the others carried along, and overrides win.
 * @param source a parsed scheduler_config.json
 * @throws RangeError for an unknown class, or for a value that a key cannot have
 */
export function schedulerFromConfig(name: string, source: Json, overrides: Json = {}): SchedulerChoice {
  if (!isSchedulerName(name)) {
    throw new RangeError(`scheduler is ${JSON.stringify(name)}; want one of ${Object.keys(SCHEDULERS).join(', ')}.`)
  }
  const scheduler: AnyScheduler = SCHEDULERS[name]
  const keys = scheduler.keys as Readonly<Record<string, ConfigKey<unknown>>>
  const given: Json = { ...source, ...overrides }
  const config: Record<string, unknown> = {}
  for (const [key, { default: fallback, want }] of Object.entries(keys)) {
    const value = Object.hasOwn(given, key) ? given[key] : fallback
    const wanted = want(value)
    if (wanted !== null) throw new RangeError(`${key} of ${name} is ${JSON.stringify(value)}; want ${wanted}.`)
    config[key] = value
  }
  const isOwn = (key: string): boolean => Object.hasOwn(keys, key) || key.startsWith('_')
  const unknownKeys = Object.keys(given).filter((key) => !isOwn(key))
  const carried = Object.fromEntries(unknownKeys.map((key) => [key, given[key]]))
  return { name, scheduler, config, json: { _class_name: name, ...config, ...carried }, unknownKeys }
}
