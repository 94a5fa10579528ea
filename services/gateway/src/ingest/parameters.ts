import { TASKS } from '@darkroom/diffusion'
import type { ParameterSchema, TaskName } from '@darkroom/diffusion'

/** What this gateway accepts at most, below what the tasks themselves allow. */
export interface ItemLimits {
  readonly maxSteps: number
  /** Pixels. */
  readonly maxSide: number
  readonly maxImages: number
}

export type Parameters = Readonly<Record<string, ParameterSchema>>

/** Bytes of UTF-8 in a prompt or a negative prompt. */
export const MAX_PROMPT_BYTES = 8192

/**
 * The fields that the tasks define, each with the gateway's limit where that is lower.
 * @throws Error where two tasks give one name two meanings: a field means the same wherever it occurs
 */
export function taskParameters(limits: ItemLimits): Parameters {
  const { maxSteps, maxSide, maxImages } = limits
  const caps: Readonly<Record<string, Partial<ParameterSchema>>> = {
    numInferenceSteps: { maximum: maxSteps },
    timesteps: { maxItems: maxSteps },
    sigmas: { maxItems: maxSteps + 1 },
    width: { maximum: maxSide },
    height: { maximum: maxSide },
    numImages: { maximum: maxImages },
  }
  const merged: Record<string, ParameterSchema> = {}
  for (const { parameters } of Object.values(TASKS)) {
    for (const [name, schema] of Object.entries(parameters)) {
      const capped = { ...schema, ...caps[name] }
      const other = merged[name]
      if (other !== undefined && JSON.stringify(other) !== JSON.stringify(capped)) {
        throw new Error(`the tasks disagree on what ${name} means`)
      }
      merged[name] = capped
    }
  }
  return merged
}

/** The fields that a task does not take although another does. */
export function foreignFields(task: TaskName, parameters: Parameters): readonly string[] {
  return Object.keys(parameters).filter((name) => !Object.hasOwn(TASKS[task].parameters, name))
}
