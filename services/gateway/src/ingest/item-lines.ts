import { defaultSize, TASKS } from '@darkroom/diffusion'
import type { TaskName } from '@darkroom/diffusion'
import type { KnownCheckpoint } from '../checkpoints/known-checkpoint.ts'
import { shown } from '../field-problems.ts'
import type { Problem } from '@darkroom/chassis'
import type { BatchCheckpoints } from './batch-checkpoints.ts'
import type { BatchPictures } from './batch-pictures.ts'
import type { CustomIdSet } from './custom-ids.ts'
import { ImageCount } from './image-count.ts'
import { promptProblem, seedProblem, sizeProblem, textProblem } from './item-checks.ts'
import { ItemDefaults } from './item-defaults.ts'
import { knownPictures, pictureKeys, pictureProblems } from './item-pictures.ts'
import type { ExaminedPictures } from './item-pictures.ts'
import { plannedSteps, refinerProblem } from './item-schedule.ts'
import type { ItemInput } from './item-schema.ts'
import { foreignFields } from './parameters.ts'
import type { ItemLimits, Parameters } from './parameters.ts'
import type { RandomSeeds } from './random-seeds.ts'

/** The item names something that must be looked up: do so, then ask again. */
export type ItemNeed =
  | { readonly needs: 'checkpoint'; readonly reference: string }
  /** With what its defaults say, and the task that says which of them are taken. */
  | { readonly needs: 'pictures'; readonly item: ItemInput; readonly task: TaskName }

/** Fields that go into the line as they are, where they are given. */
const COPIED: ReadonlySet<string> = new Set<keyof ItemInput>([
  'negativePrompt',
  'timesteps',
  'sigmas',
  'originalInferenceSteps',
  'guidanceRescale',
  'paddingMaskCrop',
  'maxSequenceLength',
  'originalSize',
  'cropsCoordsTopLeft',
  'targetSize',
  'aestheticScore',
  'negativeAestheticScore',
  'denoisingEnd',
  'previewEvery',
  'previewMode',
])

export interface ItemLinesOptions {
  readonly defaults: ItemInput
  readonly defaultCheckpoint: string | null
  readonly checkpoints: BatchCheckpoints
  readonly pictures: BatchPictures
  readonly customIds: CustomIdSet
  readonly seeds: RandomSeeds
  readonly parameters: Parameters
  readonly maxSide: ItemLimits['maxSide']
  readonly maySkipSafetyChecker: boolean
}

/** Turns checked items into the lines of input parts: every default resolved, every seed explicit, every tag a pin. */
export class ItemLines {
  readonly #options: ItemLinesOptions
  readonly #defaults: ItemDefaults
  readonly #foreign: Readonly<Record<string, readonly string[]>>
  #problems: Problem[] = []
  /** Of the lines made. */
  readonly images = new ImageCount()

  constructor(options: ItemLinesOptions) {
    this.#options = options
    this.#defaults = new ItemDefaults(options.defaults, options.parameters)
    this.#foreign = Object.fromEntries(
      Object.keys(TASKS).map((task) => [task, foreignFields(task as TaskName, options.parameters)]),
    )
  }

  /**
   * One line of an input part with its newline (`ItemLine`), or what is wrong with the item. Its pictures, where they were
   * needed and then `examined`, are not yet stored.
   */
  lineOf(item: ItemInput, index: number, examined?: ExaminedPictures): string | ItemNeed | readonly Problem[] {
    const { checkpoints, defaultCheckpoint } = this.#options
    const reference = item.checkpoint ?? this.#defaults.given.checkpoint ?? defaultCheckpoint
    if (reference === null)
      return [{ field: 'checkpoint', message: 'name a checkpoint; GET /api/v1/checkpoints lists them' }]
    const checkpoint = checkpoints.get(reference)
    if (checkpoint === undefined) return { needs: 'checkpoint', reference }
    if (typeof checkpoint === 'string') return [{ field: 'checkpoint', value: shown(reference), message: checkpoint }]

    this.#problems = []
    const task = this.#taskOf(item, checkpoint)
    this.#refuseForeign(item, task, checkpoint)
    const asked = this.#defaults.complete(item, task)
    const refiner = asked.refiner === undefined ? null : checkpoints.get(asked.refiner)
    if (refiner === undefined) return { needs: 'checkpoint', reference: asked.refiner! }
    if (typeof refiner === 'string') return [{ field: 'refiner', value: shown(asked.refiner), message: refiner }]
    const found = examined ?? knownPictures(asked, task, this.#options.pictures)
    if (found === null) return { needs: 'pictures', item: asked, task }
    const { pictures } = found
    this.#problems.push(...found.problems)
    if (TASKS[task].usesImage) this.#problems.push(...pictureProblems(task, asked, pictures, checkpoint))
    const size = defaultSize(checkpoint.description, task, pictures.image)
    return this.#write(asked, index, { task, checkpoint, refiner, pictures, size })
  }

  #write(
    item: ItemInput,
    index: number,
    { task, checkpoint, refiner, pictures, size }: Resolved,
  ): string | readonly Problem[] {
    const { description } = checkpoint
    const { usesPrompt, usesImage } = TASKS[task]
    const ofTask = description.defaults[task]!
    const { width = size.width, height = size.height, prompt = '', negativePrompt, eta = 0, numImages = 1 } = item
    const { guidanceScale = ofTask.guidanceScale, seed = this.#options.seeds.next() } = item
    const { customId = `item-${index}`, outputFormat = 'png' } = item
    this.#checkCustomId(customId, item)
    if (usesPrompt) this.#note(promptProblem(item.prompt))
    if (negativePrompt !== undefined) this.#note(textProblem('negativePrompt', negativePrompt))
    this.#note(sizeProblem('width', width, checkpoint, this.#options.maxSide))
    this.#note(sizeProblem('height', height, checkpoint, this.#options.maxSide))
    this.#note(seedProblem(seed, numImages))
    if (item.safetyChecker === 'off' && !this.#options.maySkipSafetyChecker) this.#note(SAFETY_CHECKER_STAYS)
    const setup = checkpoint.scheduler(item.scheduler ?? description.scheduler.name, item.schedulerConfig)
    if (!('plan' in setup)) return [...this.#problems, ...setup]
    if (this.#problems.length > 0) return this.#problems

    const strength = usesImage ? (item.strength ?? ofTask.strength) : undefined
    const { timesteps, sigmas, originalInferenceSteps, denoisingEnd } = item
    const { numInferenceSteps = ofTask.numInferenceSteps } = item
    const schedule = { numInferenceSteps, timesteps, sigmas, originalInferenceSteps, strength, denoisingEnd }
    const request = { task, width, height, ...schedule }
    const steps = plannedSteps(item, setup, request)
    if (typeof steps !== 'number') return [steps]
    const misfit = refinerProblem(item, request, checkpoint, refiner)
    if (misfit !== null) return [misfit]

    this.images.add({ scheduler: setup.name, numImages })
    return (
      `{"index":${index},"customId":${JSON.stringify(customId)},"task":"${task}","checkpoint":"${checkpoint.pin}"` +
      `,"prompt":${JSON.stringify(prompt)}` +
      `,"width":${width},"height":${height},"scheduler":"${setup.name}","schedulerConfig":${setup.overridesText}` +
      `,"numInferenceSteps":${steps},"guidanceScale":${guidanceScale},"eta":${eta}` +
      `,"seed":${seed},"numImages":${numImages}${strength === undefined ? '' : `,"strength":${strength}`}` +
      (refiner === null ? '' : `,"refiner":"${refiner.pin}"`) +
      (outputFormat === 'png' ? '' : `,"outputFormat":"${outputFormat}"`) +
      `${item.safetyChecker === 'off' ? ',"safetyChecker":"off"' : ''}${pictureKeys(pictures)}${copiedFields(item)}}\n`
    )
  }

  #note(problem: Problem | null): void {
    if (problem !== null) this.#problems.push(problem)
  }

  #taskOf(item: ItemInput, { name, description: { tasks } }: KnownCheckpoint): TaskName {
    const wanted = item.task ?? this.#defaults.given.task
    if (item.task !== undefined && !tasks.some((task) => task === item.task)) {
      const message = `${name} is for ${tasks.join(', ')}: leave task out, or name another checkpoint`
      this.#problems.push({ field: 'task', value: shown(item.task), message })
    }
    return tasks.find((task) => task === wanted) ?? tasks[0]!
  }

  #refuseForeign(item: ItemInput, task: TaskName, { description: { tasks } }: KnownCheckpoint): void {
    for (const field of this.#foreign[task]!) {
      const value: unknown = item[field as keyof ItemInput]
      if (value === undefined) continue
      const others = tasks.filter((other) => Object.hasOwn(TASKS[other].parameters, field))
      const remedy = others.length === 0 ? 'leave it out' : `leave it out, or set task to ${others.join(' or ')}`
      this.#problems.push({ field, value: shown(value), message: `${task} takes no ${field}: ${remedy}` })
    }
  }

  #checkCustomId(customId: string, item: ItemInput): void {
    if (!customId.isWellFormed()) {
      const message = 'it has half of a surrogate pair, which UTF-8 cannot hold: remove it'
      this.#problems.push({ field: 'customId', value: shown(customId), message })
    } else if (!this.#options.customIds.add(customId)) {
      const message =
        item.customId === undefined
          ? 'another item has the name that this one gets by default: give this one a customId'
          : 'another item of the batch has this customId: make them unique'
      this.#problems.push({ field: 'customId', value: shown(customId), message })
    }
  }
}

/** What an item's names stand for. */
interface Resolved {
  readonly task: TaskName
  readonly checkpoint: KnownCheckpoint
  readonly refiner: KnownCheckpoint | null
  readonly pictures: ExaminedPictures['pictures']
  /** Pixels, where the item says nothing. */
  readonly size: { readonly width: number; readonly height: number }
}

const SAFETY_CHECKER_STAYS: Problem = {
  field: 'safetyChecker',
  value: 'off',
  message:
    'your tenant may not turn it off: leave it out, or have the operator set maySkipSafetyChecker in the tenants file',
}

function copiedFields(item: ItemInput): string {
  let text = ''
  for (const field of Object.keys(item)) {
    if (COPIED.has(field)) text += `,"${field}":${JSON.stringify(item[field as keyof ItemInput])}`
  }
  return text
}
