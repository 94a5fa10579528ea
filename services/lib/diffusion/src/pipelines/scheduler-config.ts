import { isSchedulerName, SCHEDULERS } from '../schedulers/registry.ts'
import type { TaskName } from '../tasks/registry.ts'
import type { ModelSpec } from './model-spec.ts'

/**
 * What the constructors of diffusers' Stable Diffusion pipelines make of the checkpoint's scheduler config, once, whatever
 * the file or the class's default says (`StableDiffusionPipeline.__init__`). A swap of schedulers inherits it.
 */
export function constructedSchedulerConfig(
  { family, trainedScheduler: config }: Pick<ModelSpec, 'family' | 'trainedScheduler'>,
  task: TaskName,
): Record<string, unknown> {
  if (family !== 'stable-diffusion') return { ...config }
  const name = String(config['_class_name'])
  const defaults = isSchedulerName(name) ? SCHEDULERS[name].keys : {}
  const has = (key: string): boolean => Object.hasOwn(config, key) || Object.hasOwn(defaults, key)
  const isPlain = task === 'text-to-image' || task === 'image-to-image'
  return {
    ...config,
    ...((isPlain || task === 'inpainting') && has('steps_offset') && { steps_offset: 1 }),
    ...(isPlain && has('clip_sample') && { clip_sample: false }),
    ...(task === 'inpainting' && has('skip_prk_steps') && { skip_prk_steps: true }),
  }
}
