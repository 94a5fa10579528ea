import type { PictureTexts } from '@darkroom/chassis'
import { resolveSchedulerAlias, SAMPLERS, SPACINGS } from '@darkroom/diffusion'
import { parsePin } from '@darkroom/proto'
import type { Item } from '@darkroom/proto'
import runtime from 'onnxruntime-node/package.json' with { type: 'json' }
import darkroom from '../../package.json' with { type: 'json' }
import type { ChosenDevice, Determinism } from '../engine/messages.ts'
import { formatOf, pictureKeysOf, requestOf } from './request-of.ts'

/** What made a picture, as far as its bytes depend on it. */
export interface RenderedBy {
  readonly darkroom: string
  readonly onnxruntime: string
  readonly device: ChosenDevice['kind']
  /** What the pixels depend on, on this kind of device. */
  readonly determinism: Determinism
}

/** What of an engine's settings bytes depend on. */
export interface Renderer {
  readonly device: Pick<ChosenDevice, 'kind'>
  readonly determinism: Determinism
}

export function renderedBy({ device, determinism }: Renderer): RenderedBy {
  return { darkroom: darkroom.version, onnxruntime: runtime.version, device: device.kind, determinism }
}

/**
 * What a picture says of itself: `darkroom` is the item that renders exactly this picture, as the gateway takes it, and what
 * rendered it. The same for every worker of one version and kind of device, so that whoever renders a picture renders the same
 * bytes.
 */
export function provenanceOf(item: Item, n: number, renderer: Renderer): PictureTexts {
  const {
    prompt,
    negativePrompt,
    safetyChecker,
    numInferenceSteps,
    guidanceScale,
    preview: _,
    ...rest
  } = requestOf(item, n, {})
  const outputFormat = formatOf(item)
  const hasOwnSchedule = rest.timesteps !== undefined || rest.sigmas !== undefined
  const replay = {
    checkpoint: item.checkpoint,
    ...rest,
    ...(!hasOwnSchedule && { numInferenceSteps }),
    ...(prompt !== '' && { prompt, guidanceScale }),
    ...(negativePrompt !== null && { negativePrompt }),
    ...(!safetyChecker && { safetyChecker: 'off' }),
    ...pictureKeysOf(item),
    ...(outputFormat !== 'png' && { outputFormat }),
  }
  return {
    darkroom: JSON.stringify({ item: replay, renderedBy: renderedBy(renderer) }),
    parameters: parametersOf(item, n),
  }
}

function parametersOf(item: Item, n: number): string {
  const { name, hex } = parsePin(item.checkpoint)!
  const facts: readonly (readonly [string, string | number | undefined])[] = [
    ['Steps', item.numInferenceSteps],
    ['Sampler', samplerOf(item)],
    ['CFG scale', item.guidanceScale],
    ['Seed', Number(item.seed) + n],
    ['Size', `${item.width}x${item.height}`],
    ['Model hash', hex.slice(0, 10)],
    ['Model', name],
    ['Denoising strength', item.strength],
    ['Eta', item.eta === 0 ? undefined : item.eta],
    ['Version', `Darkroom ${darkroom.version}`],
  ]
  const known = facts.filter(([, value]) => value !== undefined).map(([key, value]) => `${key}: ${value}`)
  const negative = item.negativePrompt ? [`Negative prompt: ${item.negativePrompt}`] : []
  return [item.prompt, ...negative, known.join(', ')].join('\n')
}

/** A1111's name of a scheduler with exactly these keys; diffusers' class where it has none. */
function samplerOf({ scheduler, schedulerConfig = {} }: Item): string {
  const names = SAMPLERS.filter((sampler) => sampler.scheduler === scheduler)
    .flatMap(({ a1111 }) => a1111 ?? [])
    .flatMap((name) =>
      Object.keys(SPACINGS).map((spacing) => (spacing === 'normal' ? name : `${name} ${titled(spacing)}`)),
    )
  return names.find((name) => isSame(resolveSchedulerAlias(name)?.config, schedulerConfig)) ?? scheduler
}

function titled(spacing: string): string {
  return spacing === 'sgm uniform' ? 'SGM Uniform' : spacing.charAt(0).toUpperCase() + spacing.slice(1)
}

function isSame(a: Readonly<Record<string, unknown>> | undefined, b: Readonly<Record<string, unknown>>): boolean {
  if (a === undefined || Object.keys(a).length !== Object.keys(b).length) return false
  return Object.entries(a).every(([key, value]) => b[key] === value)
}
