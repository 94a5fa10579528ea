import { DarkroomError, parsePythonJson } from '@darkroom/chassis'
import { describeCheckpoint } from '@darkroom/diffusion'
import { readFile } from 'node:fs/promises'
import { isConfig } from './select-files.ts'

const RECIPE = 'deploy/checkpoints/recipe'
const EXPORT = `pip install -r ${RECIPE}/requirements.txt && python ${RECIPE}/export.py SRC DST`
const DENOISERS = ['unet/model.onnx', 'transformer/model.onnx']
/** Exporters leave these out and still name them; a pipeline runs without. */
const OPTIONAL = new Set(['safety_checker', 'feature_extractor', 'image_encoder'])

/**
 * Refuses what is no pipeline in ONNX, by the names of its files alone.
 * @throws DarkroomError CHECKPOINT_INVALID that says what to do
 */
export function checkLayout(source: string, files: readonly string[]): void {
  if (!files.includes('model_index.json'))
    throw new DarkroomError(
      'CHECKPOINT_INVALID',
      `${source} has no model_index.json at its root: want a pipeline in the layout of diffusers, exported to ONNX`,
    )
  if (!files.some((file) => DENOISERS.includes(file)))
    throw new DarkroomError(
      'CHECKPOINT_INVALID',
      `${source} has no ONNX model (${DENOISERS.join(' or ')}): export it with "${EXPORT}", then import DST`,
    )
}

/**
 * Reads the configs and refuses a pipeline that lacks one of the parts it names, or that no worker runs.
 * @param files path in the checkpoint -> file, at least every config
 * @param all every path of the checkpoint
 * @throws DarkroomError CHECKPOINT_INVALID
 */
export async function checkConfigs(
  source: string,
  files: ReadonlyMap<string, string>,
  all: readonly string[],
): Promise<void> {
  const configs = new Map<string, unknown>()
  for (const [path, file] of files) if (isConfig(path)) configs.set(path, await readConfig(`${source}: ${path}`, file))
  const index = configs.get('model_index.json')
  if (typeof index !== 'object' || index === null || Array.isArray(index))
    throw new DarkroomError('CHECKPOINT_INVALID', `${source}: model_index.json is not an object`)
  const folders = new Set(all.map((file) => file.slice(0, Math.max(0, file.indexOf('/')))))
  for (const [part, origin] of Object.entries(index)) {
    // [library, class], or [null, null] for a part that the pipeline does without.
    if (!Array.isArray(origin) || origin.length !== 2 || origin.includes(null) || OPTIONAL.has(part)) continue
    // The exporters put the two halves of a VAE into folders of their own.
    const isThere = folders.has(part) || (part === 'vae' && folders.has('vae_decoder'))
    if (!isThere)
      throw new DarkroomError(
        'CHECKPOINT_INVALID',
        `${source}: model_index.json names ${part} (${origin.join(' ')}) but it has no folder ${part} in ONNX: get or export the whole pipeline, then import it`,
      )
  }
  try {
    describeCheckpoint(Object.fromEntries(configs))
  } catch (cause) {
    if (!(cause instanceof RangeError || cause instanceof TypeError)) throw cause
    throw new DarkroomError('CHECKPOINT_INVALID', `${source}: ${cause.message}`, { cause })
  }
}

async function readConfig(shownAs: string, file: string): Promise<unknown> {
  try {
    return parsePythonJson(await readFile(file, 'utf8'))
  } catch (cause) {
    throw new DarkroomError('CHECKPOINT_INVALID', `${shownAs} is not JSON`, { cause })
  }
}
