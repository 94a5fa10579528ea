import { describeCheckpoint } from '@darkroom/diffusion'
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'

const SHIPPED = path.resolve(import.meta.dirname, '../../deploy/checkpoints')

function configsOf(name: string): Record<string, Record<string, unknown>> {
  const cwd = path.join(SHIPPED, name)
  const files = ['model_index.json', ...globSync('*/*config.json', { cwd })]
  return Object.fromEntries(files.map((file) => [file, JSON.parse(readFileSync(path.join(cwd, file), 'utf8'))]))
}

describe('describing a checkpoint', () => {
  test('a latent diffusion model: sizes by the VAE and the levels of its UNet', () => {
    expect(describeCheckpoint(configsOf('emoji-sd'))).toMatchObject({
      pipelineClass: 'StableDiffusionPipeline',
      tasks: ['text-to-image', 'image-to-image', 'inpainting'],
      spec: {
        family: 'stable-diffusion',
        inChannels: 4,
        sampleSize: 16,
        vaeScaleFactor: 4,
        sizeMultiple: 16,
        latents: { scalingFactor: 0.495571, shiftFactor: 0 },
      },
      defaultWidth: 64,
      defaultHeight: 64,
      sizeMultiple: 16,
      scheduler: { name: 'PNDMScheduler' },
      promptMaxLength: 32,
    })
  })

  test('a model on pixels: no VAE, no prompt', () => {
    expect(describeCheckpoint(configsOf('emoji-ddpm'))).toMatchObject({
      tasks: ['unconditional-image-generation'],
      spec: { inChannels: 3, sampleSize: 32, vaeScaleFactor: 1, sizeMultiple: 4 },
      defaultWidth: 32,
      scheduler: { name: 'DDPMScheduler', config: { clip_sample: true } },
      promptMaxLength: null,
    })
  })

  test("the scheduler's config is as the Stable Diffusion pipeline's constructor leaves it", () => {
    const configs = configsOf('emoji-sd')
    Object.assign(configs['scheduler/scheduler_config.json']!, { steps_offset: 0, clip_sample: true })
    const { scheduler } = describeCheckpoint(configs)
    expect(scheduler.config).toMatchObject({ steps_offset: 1, clip_sample: false })
  })

  test('a tokenizer without a limit of its own takes that of the text encoder', () => {
    const configs = configsOf('emoji-sd')
    configs['tokenizer/tokenizer_config.json']!['model_max_length'] = 1e30
    expect(describeCheckpoint(configs).promptMaxLength).toBe(32)
  })

  test('a tokenizer without a config takes the limit of the text encoder, and that is 77 where it does not say', () => {
    const { 'tokenizer/tokenizer_config.json': _, ...configs } = configsOf('emoji-sd')
    expect(describeCheckpoint(configs).promptMaxLength).toBe(32)
    delete configs['text_encoder/config.json']!['max_position_embeddings']
    expect(describeCheckpoint(configs).promptMaxLength).toBe(77)
  })

  test.for<[string, string, unknown, RegExp]>([
    ['model_index.json', '_class_name', 'WanPipeline', /"WanPipeline" is not supported, want one of Stable/],
    ['model_index.json', '_class_name', 'FluxPipeline', /transformer\/config.json is missing/],
    ['model_index.json', '_class_name', undefined, /_class_name is undefined, want a string/],
    ['unet/config.json', 'in_channels', 7, /in_channels is 7 but the VAE has 4 latent channels/],
    ['unet/config.json', 'out_channels', 8, /out_channels is 8 but the samples have 4/],
    ['unet/config.json', 'sample_size', [64, 64], /sample_size is \[64,64\], want a number/],
    ['unet/config.json', 'block_out_channels', [], /block_out_channels/],
    ['unet/config.json', 'time_cond_proj_dim', 'big', /time_cond_proj_dim is "big", want a number/],
    ['vae_decoder/config.json', 'latent_channels', 16, /4 but the samples have 16 latent channels/],
    ['vae_decoder/config.json', 'scaling_factor', 'big', /scaling_factor is "big", want a number/],
  ])('%s with %s %j is refused in a sentence that names them', ([file, key, value, message]) => {
    const configs = configsOf('emoji-sd')
    configs[file]![key] = value
    expect(() => describeCheckpoint(configs)).toThrow(message)
  })

  test('a model on pixels may put out a variance beside its prediction', () => {
    const configs = configsOf('emoji-ddpm')
    expect(describeCheckpoint(configs).spec.learnsVariance).toBe(false)
    configs['unet/config.json']!['out_channels'] = 6
    expect(describeCheckpoint(configs).spec.learnsVariance).toBe(true)
  })

  test('inputs of the UNet say what it is for', () => {
    const tasksWith = (inChannels: number): readonly string[] => {
      const configs = configsOf('emoji-sd')
      configs['unet/config.json']!['in_channels'] = inChannels
      return describeCheckpoint(configs).tasks
    }
    expect(tasksWith(9)).toEqual(['inpainting'])
    expect(tasksWith(5)).toEqual(['depth-to-image'])
  })

  test('a UNet for inpainting without the encoder of its VAE is refused', () => {
    const configs = configsOf('emoji-sd')
    configs['unet/config.json']!['in_channels'] = 9
    delete configs['vae_encoder/config.json']
    expect(() => describeCheckpoint(configs)).toThrow(
      'vae_encoder/config.json is missing from the checkpoint; inpainting',
    )
  })

  test.for([
    'unet/config.json',
    'vae_decoder/config.json',
    'scheduler/scheduler_config.json',
    'text_encoder/config.json',
  ])('a checkpoint without %s is refused', (file) => {
    const configs = configsOf('emoji-sd')
    delete configs[file]
    expect(() => describeCheckpoint(configs)).toThrow(`${file} is missing`)
  })
})
