import { isSchedulerName, SCHEDULERS } from '../schedulers/registry.ts'

/**
 * What the constructors of diffusers' Stable Diffusion pipelines make of a scheduler's config, once: steps_offset 1 and
 * clip_sample false, whatever the file or the class's default says (`StableDiffusionPipeline.__init__`). A swap of
 * schedulers inherits it.
 */
export function stableDiffusionSchedulerConfig(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const name = String(config['_class_name'])
  const defaults = isSchedulerName(name) ? SCHEDULERS[name].keys : {}
  const has = (key: string): boolean => Object.hasOwn(config, key) || Object.hasOwn(defaults, key)
  return {
    ...config,
    ...(has('steps_offset') && { steps_offset: 1 }),
    ...(has('clip_sample') && { clip_sample: false }),
  }
}
