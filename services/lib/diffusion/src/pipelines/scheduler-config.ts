/**
 * What the constructors of diffusers' Stable Diffusion pipelines make of a scheduler's config, once: steps_offset 1 and
 * clip_sample false, whatever the file says (`StableDiffusionPipeline.__init__`). A swap of schedulers inherits it.
 */
export function stableDiffusionSchedulerConfig(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return {
    ...config,
    ...(Object.hasOwn(config, 'steps_offset') && { steps_offset: 1 }),
    ...(Object.hasOwn(config, 'clip_sample') && { clip_sample: false }),
  }
}
