import { parsePin } from '@darkroom/proto'
import {
  isSchedulerName,
  openRequest,
  ParameterError,
  resolveSchedulerAlias,
  SAMPLERS,
  schedulerFromConfig,
  SCHEDULERS,
} from '@darkroom/diffusion'
import type { CheckpointDescription, ImageRequest, SchedulerName } from '@darkroom/diffusion'
import { shown, suggestion } from '../field-problems.ts'
import type { Problem } from '@darkroom/chassis'

/** Distinct schedulers of one checkpoint, and schedules of one of them, whose check is remembered. */
const MAX_REMEMBERED = 256
const MAX_OVERRIDES_CHARACTERS = 8192

/** What decides which steps are run. */
export interface ScheduleRequest extends Pick<ImageRequest, 'task' | 'width' | 'height' | 'numInferenceSteps'> {
  readonly timesteps: ImageRequest['timesteps'] | undefined
  readonly sigmas: ImageRequest['sigmas'] | undefined
  readonly originalInferenceSteps: number | undefined
  readonly strength: number | undefined
  readonly denoisingStart?: number
  readonly denoisingEnd: number | undefined
}

/** A scheduler as one item asks for it, checked. */
export interface SchedulerSetup {
  readonly name: SchedulerName
  /** The overrides as JSON text; `{}` where there are none. */
  readonly overridesText: string
  /** Denoiser calls of the whole schedule; or why it cannot be, with the field at fault where that is none of the schedule. */
  plan(request: ScheduleRequest): number | { readonly field: string | null; readonly message: string }
}

/** What a caller who mistyped a scheduler may have meant. */
const SCHEDULER_NAMES = [
  ...Object.keys(SCHEDULERS),
  ...SAMPLERS.flatMap(({ a1111 }) => (a1111 === undefined ? [] : [a1111, `${a1111} Karras`])),
]

type Config = Readonly<Record<string, unknown>>
type Planned = ReturnType<SchedulerSetup['plan']>
type Checked = SchedulerSetup | readonly Problem[]

const NO_OVERRIDES = Object.freeze({})

/** A checkpoint that items may name, by its pin: what it can do, and the schedulers that were asked for with it so far. */
export class KnownCheckpoint {
  readonly pin: string
  readonly description: CheckpointDescription
  readonly #checked = new Map<string, Checked>()

  constructor(pin: string, description: CheckpointDescription) {
    this.pin = pin
    this.description = description
  }

  get name(): string {
    return parsePin(this.pin)!.name
  }

  /**
   * The setup, or what is wrong with it.
   * @param asked diffusers' class name, or a sampler of A1111 or ComfyUI
   * @param overrides `scheduler_config.json` keys, above those that the sampler's name stands for
   */
  scheduler(asked: string, overrides: Readonly<Record<string, unknown>> = NO_OVERRIDES): Checked {
    const known = overrides === NO_OVERRIDES ? this.#checked.get(asked) : undefined
    if (known !== undefined) return known
    const choice = isSchedulerName(asked) ? { name: asked, config: {} } : resolveSchedulerAlias(asked)
    if (choice === null) {
      const hint = suggestion(asked, SCHEDULER_NAMES) || '; GET /api/v1/schedulers lists them'
      return [{ field: 'scheduler', value: shown(asked), message: `no such scheduler${hint}` }]
    }
    const problems = overrideProblems(choice.name, overrides)
    if (problems.length > 0) return problems
    // Only now: every value is known to be flat.
    const all = { ...choice.config, ...overrides }
    const text = JSON.stringify(all)
    if (text.length > MAX_OVERRIDES_CHARACTERS) {
      const message = `the overrides are longer than ${MAX_OVERRIDES_CHARACTERS} characters: push a checkpoint with this config instead`
      return [{ field: 'schedulerConfig', value: '{…}', message }]
    }
    const key = overrides === NO_OVERRIDES ? asked : `${choice.name} ${text}`
    return remembered(this.#checked, key, () => this.#check(choice.name, all, text))
  }

  #check(name: SchedulerName, overrides: Readonly<Record<string, unknown>>, overridesText: string): Checked {
    const { spec, scheduler } = this.description
    const refusal = refusalOf(name, scheduler.config, overrides)
    if (refusal !== null) {
      const message = `${refusal} Name another scheduler, or override the key in schedulerConfig`
      return [{ field: 'scheduler', value: shown(name), message }]
    }
    // Each schedule is planned once: it may be refused for reasons that only the scheduler knows.
    const planned = new Map<string, Planned>()
    return {
      name,
      overridesText,
      plan: (request) =>
        remembered(planned, keyOf(request), () => {
          try {
            const unplanned = { scheduler: name, schedulerConfig: overrides, guidanceScale: 1, eta: 0, seed: 0 }
            return openRequest(spec, { ...whatIsSet(request), ...unplanned }).plan.timesteps.length
          } catch (reason) {
            return { field: reason instanceof ParameterError ? reason.parameter : null, message: sentence(reason) }
          }
        }),
    }
  }
}

/** Why a class cannot run with the checkpoint's config; null where it can. */
function refusalOf(name: SchedulerName, ...configs: readonly [Config, Config]): string | null {
  try {
    return schedulerFromConfig(name, ...configs).refusal
  } catch (reason) {
    return sentence(reason)
  }
}

function keyOf(request: ScheduleRequest): string {
  const { task, width, height, numInferenceSteps, originalInferenceSteps, strength } = request
  const { timesteps, sigmas, denoisingStart, denoisingEnd } = request
  const lists = timesteps === undefined && sigmas === undefined ? '' : `${timesteps?.join()} ${sigmas?.join()}`
  return `${task} ${width} ${height} ${numInferenceSteps} ${originalInferenceSteps} ${strength} ${denoisingStart} ${denoisingEnd} ${lists}`
}

type Given<T> = { [K in keyof T]: Exclude<T[K], undefined> }

function whatIsSet<T extends object>(fields: T): Given<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<T>
}

function remembered<T>(map: Map<string, T>, key: string, make: () => T): T {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    if (map.size === MAX_REMEMBERED) map.clear()
    map.set(key, value)
  }
  return value
}

function overrideProblems(name: SchedulerName, overrides: Readonly<Record<string, unknown>>): readonly Problem[] {
  const keys = SCHEDULERS[name].keys as Readonly<Record<string, { want(value: unknown): string | null }>>
  const names = Object.keys(keys)
  return Object.entries(overrides).flatMap(([key, value]) => {
    const field = `schedulerConfig.${shown(key)}`
    if (!Object.hasOwn(keys, key)) {
      const hint = suggestion(key, names) || ` (its keys: ${names.join(', ')})`
      return [{ field, value: shown(value), message: `${name} has no such key${hint}` }]
    }
    const want = keys[key]!.want(value)
    return want === null ? [] : [{ field, value: shown(value), message: `want ${want}` }]
  })
}

function sentence(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason)
}
