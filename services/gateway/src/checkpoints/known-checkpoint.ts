import { parsePin } from '@darkroom/proto'
import { isSchedulerName, schedulerFromConfig, SCHEDULERS } from '@darkroom/diffusion'
import type { CheckpointDescription, SchedulerChoice } from '@darkroom/diffusion'
import { shown, suggestion } from '../field-problems.ts'
import type { FieldProblem } from '../field-problems.ts'

/** Distinct overrides of one checkpoint whose check is remembered. */
const MAX_REMEMBERED = 256
const MAX_OVERRIDES_CHARACTERS = 8192

/** A scheduler as one item asks for it, checked. */
export interface SchedulerSetup {
  readonly name: string
  /** The overrides as JSON text; `{}` where there are none. */
  readonly overridesText: string
  /** Null, or why so many steps cannot be planned. */
  refuseSteps(numInferenceSteps: number): string | null
}

type Checked = SchedulerSetup | readonly FieldProblem[]

const NO_OVERRIDES = Object.freeze({})

/** A checkpoint that items may name, by its pin: what it can do, and the schedulers that were asked for with it so far. */
export class KnownCheckpoint {
  readonly pin: string
  readonly description: CheckpointDescription
  readonly #plain = new Map<string, Checked>()
  readonly #overridden = new Map<string, Checked>()

  constructor(pin: string, description: CheckpointDescription) {
    this.pin = pin
    this.description = description
  }

  get name(): string {
    return parsePin(this.pin)!.name
  }

  /** The setup, or what is wrong with the name or its overrides (`scheduler_config.json` keys). */
  scheduler(name: string, overrides: Readonly<Record<string, unknown>> = NO_OVERRIDES): Checked {
    if (overrides === NO_OVERRIDES) {
      let checked = this.#plain.get(name)
      if (checked === undefined) this.#plain.set(name, (checked = this.#check(name, overrides, '{}')))
      return checked
    }
    const problems = overrideProblems(name, overrides)
    if (problems.length > 0) return problems
    // Only now: every value is known to be flat.
    const text = JSON.stringify(overrides)
    if (text.length > MAX_OVERRIDES_CHARACTERS) {
      const message = `the overrides are longer than ${MAX_OVERRIDES_CHARACTERS} characters: push a checkpoint with this config instead`
      return [{ field: 'schedulerConfig', value: '{…}', message }]
    }
    const key = `${name} ${text}`
    let checked = this.#overridden.get(key)
    if (checked === undefined) {
      if (this.#overridden.size === MAX_REMEMBERED) this.#overridden.clear()
      this.#overridden.set(key, (checked = this.#check(name, overrides, text)))
    }
    return checked
  }

  #check(name: string, overrides: Readonly<Record<string, unknown>>, overridesText: string): Checked {
    try {
      const choice = schedulerFromConfig(name, this.description.scheduler.config, overrides)
      return { name, overridesText, refuseSteps: stepsCheck(choice) }
    } catch (reason) {
      const message = `${sentence(reason)} Name another scheduler, or override the key in schedulerConfig`
      return [{ field: 'scheduler', value: shown(name), message }]
    }
  }
}

function overrideProblems(name: string, overrides: Readonly<Record<string, unknown>>): readonly FieldProblem[] {
  if (!isSchedulerName(name)) return []
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

/** Plans each number of steps once: a plan is refused for reasons that only the scheduler knows. */
function stepsCheck({ scheduler, config }: SchedulerChoice): (numInferenceSteps: number) => string | null {
  const known = new Map<number, string | null>()
  return (numInferenceSteps) => {
    let refusal = known.get(numInferenceSteps)
    if (refusal === undefined) {
      try {
        scheduler.plan(config, { numInferenceSteps })
        refusal = null
      } catch (reason) {
        refusal = sentence(reason)
      }
      known.set(numInferenceSteps, refusal)
    }
    return refusal
  }
}

function sentence(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason)
}
