import { createHash } from 'node:crypto'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { clipTokenizer } from './clip-tokenizer.ts'
import { untrainedTensor } from './untrained-weights.ts'
import type { TensorRecipe } from './untrained-weights.ts'

/** What `make_sd15_graphs.py` wrote. */
const GRAPHS = path.join(import.meta.dirname, 'graphs')
const NAMES = ['text_encoder', 'unet', 'vae_decoder']

const MODEL_INDEX = {
  _class_name: 'StableDiffusionPipeline',
  _diffusers_version: '0.40.0',
  feature_extractor: [null, null],
  requires_safety_checker: false,
  safety_checker: [null, null],
  scheduler: ['diffusers', 'PNDMScheduler'],
  text_encoder: ['transformers', 'CLIPTextModel'],
  tokenizer: ['transformers', 'CLIPTokenizer'],
  unet: ['diffusers', 'UNet2DConditionModel'],
  vae: ['diffusers', 'AutoencoderKL'],
}
const SCHEDULER = {
  _class_name: 'PNDMScheduler',
  _diffusers_version: '0.40.0',
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  clip_sample: false,
  num_train_timesteps: 1000,
  set_alpha_to_one: false,
  skip_prk_steps: true,
  steps_offset: 1,
  trained_betas: null,
}

/**
 * Writes a checkpoint of exactly Stable Diffusion 1.5's architecture that was never trained (2.1 GB, for text-to-image): it
 * computes what the real one computes, and its pictures are noise. The same bytes on any machine; needs neither network nor
 * Python. What is in the folder already is replaced.
 */
export async function buildSd15(folder: string): Promise<void> {
  for (const name of NAMES) await buildGraph(name, path.join(folder, name))
  await write(path.join(folder, 'model_index.json'), JSON.stringify(MODEL_INDEX, null, 2))
  await write(path.join(folder, 'scheduler/scheduler_config.json'), JSON.stringify(SCHEDULER, null, 2))
  for (const [name, text] of Object.entries(clipTokenizer())) await write(path.join(folder, 'tokenizer', name), text)
}

async function buildGraph(name: string, folder: string): Promise<void> {
  const stored = (suffix: string): Promise<Buffer> => readFile(path.join(GRAPHS, `${name}.${suffix}`))
  await write(path.join(folder, 'config.json'), await stored('config.json'))
  await write(path.join(folder, 'model.onnx'), gunzipSync(await stored('onnx.gz')))
  const recipes = JSON.parse(gunzipSync(await stored('weights.json.gz')).toString('utf8')) as readonly TensorRecipe[]
  await using data = await open(path.join(folder, 'model.onnx_data'), 'w')
  for (const [i, recipe] of recipes.entries()) {
    const bytes = untrainedTensor(recipe, seedOf(`${name}/${i}`))
    await data.write(bytes, 0, bytes.length, recipe.offset)
  }
}

function seedOf(text: string): number {
  return createHash('sha256').update(text).digest().readInt32LE() || 1
}

async function write(file: string, content: string | Uint8Array): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, content)
}
