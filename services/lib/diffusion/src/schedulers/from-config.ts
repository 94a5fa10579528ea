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
  /**
   * What a swap to another class starts from: class name, config and the keys of other classes, which survive a swap back.
   * `_use_default_values` lists the keys that nobody set, so that one class's default does not become another's setting.
   */
  readonly json: Json
  /** Keys that neither the class nor a compatible one has. */
  readonly unknownKeys: readonly string[]
  /** Why `scheduler.plan` throws: a value of another class, which is carried along. null where there is none. */
  readonly refusal: string | null
}

/** What diffusers' classes look at when they plan or step, not before: one that has no such value hands it on to the next. */
const CHECKED_LATE: readonly string[] = ['prediction_type', 'timestep_spacing']

/** diffusers' KarrasDiffusionSchedulers: classes that are made from each other's configs. */
const KARRAS_DIFFUSION_SCHEDULERS = [
  'DDIMScheduler',
  'DDPMScheduler',
  'PNDMScheduler',
  'LMSDiscreteScheduler',
  'EulerDiscreteScheduler',
  'HeunDiscreteScheduler',
  'EulerAncestralDiscreteScheduler',
  'DPMSolverMultistepScheduler',
  'DPMSolverSinglestepScheduler',
  'KDPM2DiscreteScheduler',
  'KDPM2AncestralDiscreteScheduler',
  'DEISMultistepScheduler',
  'UniPCMultistepScheduler',
  'DPMSolverSDEScheduler',
  'EDMEulerScheduler',
] as const

/**
 * Makes a scheduler of class `name` from the config of another, as diffusers' `from_config` does: keys that the class knows are
 * taken, the others carried along, and overrides win. diffusers `configuration_utils.py`, `extract_init_dict`.
 * @param source a parsed scheduler_config.json, or the `json` of another choice
 * @throws RangeError for an unknown class, or for a value that a key cannot have; see `refusal` for those of other classes
 */
export function schedulerFromConfig(name: string, source: Json, overrides: Json = {}): SchedulerChoice {
  if (!isSchedulerName(name)) {
    throw new RangeError(`scheduler is ${JSON.stringify(name)}; want one of ${Object.keys(SCHEDULERS).join(', ')}.`)
  }
  const scheduler: AnyScheduler = SCHEDULERS[name]
  const keys = scheduler.keys as Readonly<Record<string, ConfigKey<unknown>>>
  const own = withoutDefaults(source)
  const given: Json = { ...own, ...overrides }
  const config: Record<string, unknown> = {}
  let refusal: string | null = null
  for (const [key, { default: fallback, want, taken = {} }] of Object.entries(keys)) {
    const value = Object.hasOwn(given, key) ? given[key] : fallback
    const wanted = want(value)
    if (wanted !== null) {
      refusal = `${key} of ${name} is ${JSON.stringify(value)}; want ${wanted}.`
      const isCarried = CHECKED_LATE.includes(key) && typeof value === 'string' && !Object.hasOwn(overrides, key)
      if (!isCarried) throw new RangeError(refusal)
    }
    config[key] = Object.hasOwn(taken, String(value)) ? taken[String(value)] : value
  }
  const others = Object.keys(given).filter((key) => !Object.hasOwn(keys, key) && !key.startsWith('_'))
  // An override is for this class alone: what it does not know goes no further.
  const carried = Object.fromEntries(others.filter((key) => Object.hasOwn(own, key)).map((key) => [key, own[key]]))
  const defaults = Object.keys(keys).filter((key) => !Object.hasOwn(given, key))
  return {
    name,
    scheduler: refusal === null ? scheduler : { ...scheduler, plan: refusing(refusal) },
    config,
    json: { _class_name: name, ...config, ...carried, _use_default_values: defaults },
    unknownKeys: others.filter((key) => !scheduler.about.takesKarrasConfigs || !isKarrasKey(key)),
    refusal,
  }
}

function refusing(refusal: string): AnyScheduler['plan'] {
  return () => {
    throw new RangeError(refusal)
  }
}

function withoutDefaults(source: Json): Json {
  const defaults = source['_use_default_values']
  if (!Array.isArray(defaults)) return source
  return Object.fromEntries(Object.entries(source).filter(([key]) => !defaults.includes(key)))
}

function isKarrasKey(key: string): boolean {
  return KARRAS_DIFFUSION_SCHEDULERS.some((name) => isSchedulerName(name) && Object.hasOwn(SCHEDULERS[name].keys, key))
}
