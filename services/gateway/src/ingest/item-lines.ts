import { TASKS } from '@darkroom/diffusion'
import type { TaskName } from '@darkroom/diffusion'
import type { KnownCheckpoint, SchedulerSetup } from '../checkpoints/known-checkpoint.ts'
import type { BatchCheckpoints } from './batch-checkpoints.ts'
import type { CustomIdSet } from './custom-ids.ts'
import type { ItemInput } from './item-schema.ts'
import { foreignFields, MAX_PROMPT_BYTES } from './parameters.ts'
import type { Parameters } from './parameters.ts'
import { shown } from '../field-problems.ts'
import type { FieldProblem } from '../field-problems.ts'
import type { RandomSeeds } from './random-seeds.ts'

/** The item names a checkpoint that its batch has not resolved yet: do so, then ask again. */
export interface NeedsCheckpoint {
  readonly needs: string
}

const MAX_BYTES_PER_UTF16_UNIT = 3

/** Turns checked items into the lines of input parts: every default resolved, every seed explicit, every tag a pin. */
export class ItemLines {
  readonly #defaults: ItemInput
  readonly #defaultCheckpoint: string | null
  readonly #checkpoints: BatchCheckpoints
  readonly #customIds: CustomIdSet
  readonly #seeds: RandomSeeds
  readonly #foreign: Readonly<Record<string, readonly string[]>>
  #problems: FieldProblem[] = []
  /** Sum of `numImages` of the lines made. */
  imageCount = 0

  constructor(options: {
    defaults: ItemInput
    defaultCheckpoint: string | null
    checkpoints: BatchCheckpoints
    customIds: CustomIdSet
    seeds: RandomSeeds
    parameters: Parameters
  }) {
    this.#defaults = options.defaults
    this.#defaultCheckpoint = options.defaultCheckpoint
    this.#checkpoints = options.checkpoints
    this.#customIds = options.customIds
    this.#seeds = options.seeds
    this.#foreign = Object.fromEntries(
      Object.keys(TASKS).map((task) => [task, foreignFields(task as TaskName, options.parameters)]),
    )
  }

  /** One line of an input part with its newline (`ItemLine`), or what is wrong with the item. */
  lineOf(item: ItemInput, index: number): string | NeedsCheckpoint | readonly FieldProblem[] {
    const defaults = this.#defaults
    const reference = item.checkpoint ?? defaults.checkpoint ?? this.#defaultCheckpoint
    if (reference === null)
      return [{ field: 'checkpoint', message: 'name a checkpoint; GET /api/v1/checkpoints lists them' }]
    const checkpoint = this.#checkpoints.get(reference)
    if (checkpoint === undefined) return { needs: reference }
    if (typeof checkpoint === 'string') return [{ field: 'checkpoint', value: shown(reference), message: checkpoint }]

    this.#problems = []
    const { description } = checkpoint
    const task = this.#taskOf(item, checkpoint)
    const { usesPrompt } = TASKS[task]
    const ofTask = description.defaults[task]!
    for (const field of this.#foreign[task]!) this.#refuseForeign(item, field, task)

    const customId = item.customId ?? `item-${index}`
    this.#checkCustomId(customId, item)
    const prompt = usesPrompt ? this.#promptOf(item.prompt ?? defaults.prompt) : ''
    const negativePrompt = usesPrompt ? (item.negativePrompt ?? defaults.negativePrompt ?? '') : ''
    if (negativePrompt !== '') this.#checkText('negativePrompt', negativePrompt)
    const width = item.width ?? defaults.width ?? description.defaultWidth
    const height = item.height ?? defaults.height ?? description.defaultHeight
    if (width % description.sizeMultiple !== 0) this.#refuseSize('width', width, checkpoint)
    if (height % description.sizeMultiple !== 0) this.#refuseSize('height', height, checkpoint)
    const numInferenceSteps = item.numInferenceSteps ?? defaults.numInferenceSteps ?? ofTask.numInferenceSteps
    const setup = this.#setupOf(item, checkpoint, numInferenceSteps)
    const guidanceScale = usesPrompt
      ? (item.guidanceScale ?? defaults.guidanceScale ?? ofTask.guidanceScale)
      : ofTask.guidanceScale
    const eta = item.eta ?? defaults.eta ?? 0
    const numImages = item.numImages ?? defaults.numImages ?? 1
    const seed = item.seed ?? defaults.seed ?? this.#seeds.next()
    if (seed > Number.MAX_SAFE_INTEGER - (numImages - 1)) {
      const message = `image n uses seed + n: with ${numImages} images want at most ${Number.MAX_SAFE_INTEGER - numImages + 1}`
      this.#problems.push({ field: 'seed', value: seed, message })
    }
    if (this.#problems.length > 0 || setup === null) return this.#problems

    this.imageCount += numImages
    return (
      `{"index":${index},"customId":${JSON.stringify(customId)},"task":"${task}","checkpoint":"${checkpoint.pin}"` +
      `,"prompt":${JSON.stringify(prompt)},"negativePrompt":${JSON.stringify(negativePrompt)}` +
      `,"width":${width},"height":${height},"scheduler":"${setup.name}","schedulerConfig":${setup.overridesText}` +
      `,"numInferenceSteps":${numInferenceSteps},"guidanceScale":${guidanceScale},"eta":${eta}` +
      `,"seed":${seed},"numImages":${numImages}}\n`
    )
  }

  #taskOf(item: ItemInput, checkpoint: KnownCheckpoint): TaskName {
    const { tasks } = checkpoint.description
    if (item.task !== undefined && !tasks.some((task) => task === item.task)) {
      const message = `${checkpoint.name} is for ${tasks.join(', ')}: leave task out, or name another checkpoint`
      this.#problems.push({ field: 'task', value: shown(item.task), message })
    }
    return tasks.find((task) => task === (item.task ?? this.#defaults.task)) ?? tasks[0]!
  }

  #refuseForeign(item: ItemInput, field: string, task: TaskName): void {
    const value: unknown = item[field as keyof ItemInput]
    if (value === undefined) return
    this.#problems.push({ field, value: shown(value), message: `${task} takes no ${field}: leave it out` })
  }

  #checkCustomId(customId: string, item: ItemInput): void {
    if (!customId.isWellFormed()) {
      const message = 'it has half of a surrogate pair, which UTF-8 cannot hold: remove it'
      this.#problems.push({ field: 'customId', value: shown(customId), message })
    } else if (!this.#customIds.add(customId)) {
      const message =
        item.customId === undefined
          ? 'another item has the name that this one gets by default: give this one a customId'
          : 'another item of the batch has this customId: make them unique'
      this.#problems.push({ field: 'customId', value: shown(customId), message })
    }
  }

  #promptOf(prompt: string | undefined): string {
    if (prompt === undefined || prompt.trim() === '') {
      const message = prompt === undefined ? 'is required: say what to draw' : 'is empty: say what to draw'
      this.#problems.push({ field: 'prompt', ...(prompt !== undefined && { value: shown(prompt) }), message })
      return ''
    }
    this.#checkText('prompt', prompt)
    return prompt
  }

  #checkText(field: string, text: string): void {
    if (text.length > MAX_PROMPT_BYTES / MAX_BYTES_PER_UTF16_UNIT && Buffer.byteLength(text) > MAX_PROMPT_BYTES) {
      const message = `has ${Buffer.byteLength(text)} bytes of UTF-8, want at most ${MAX_PROMPT_BYTES}: shorten it`
      this.#problems.push({ field, value: shown(text), message })
    } else if (!text.isWellFormed()) {
      const message = 'has half of a surrogate pair, which UTF-8 cannot hold: remove it'
      this.#problems.push({ field, value: shown(text), message })
    }
  }

  #refuseSize(field: 'width' | 'height', pixels: number, { name, description }: KnownCheckpoint): void {
    const { sizeMultiple } = description
    const below = Math.max(1, Math.floor(pixels / sizeMultiple)) * sizeMultiple
    const message = `${name} needs a multiple of ${sizeMultiple}: ${below} or ${below + sizeMultiple}`
    this.#problems.push({ field, value: pixels, message })
  }

  #setupOf(item: ItemInput, checkpoint: KnownCheckpoint, numInferenceSteps: number): SchedulerSetup | null {
    const name = item.scheduler ?? this.#defaults.scheduler ?? checkpoint.description.scheduler.name
    const setup = checkpoint.scheduler(name, item.schedulerConfig ?? this.#defaults.schedulerConfig)
    if (!('refuseSteps' in setup)) {
      this.#problems.push(...setup)
      return null
    }
    const refusal = setup.refuseSteps(numInferenceSteps)
    if (refusal !== null)
      this.#problems.push({ field: 'numInferenceSteps', value: numInferenceSteps, message: refusal })
    return setup
  }
}
