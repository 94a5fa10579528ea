import type { ModelSpec } from '../pipelines/model-spec.ts'
import { linspace } from '../schedulers/betas.ts'
import type { Family, Tensor } from './family.ts'
import { dynamicShift, requestedSchedule, skippedByFraction } from './schedule.ts'

/**
 * Flux.1: a transformer on patches of 2 × 2 latent pixels of a flow; the guidance scale is an input, so that a lane is one row.
 *
 * diffusers `pipeline_flux.py` and its neighbours.
 */
export const flux: Family = {
  denoiser: 'transformer',
  sampleInput: 'hidden_states',
  defaults: {
    'text-to-image': { numInferenceSteps: 28, guidanceScale: 3.5, strength: 1 },
    'image-to-image': { numInferenceSteps: 28, guidanceScale: 7, strength: 0.6 },
    inpainting: { numInferenceSteps: 28, guidanceScale: 7, strength: 0.6 },
  },
  followsPicture: false,
  rescalesGuidance: () => false,
  noisesWholeInpaintings: true,
  isGuided: () => false,
  planRequest(spec, request, config) {
    const asked = requestedSchedule(request)
    const mu = dynamicShift(spec, request, config, 1.15)
    const steps = request.numInferenceSteps
    // A solver that spaces flows by itself does so whatever sigmas are asked for; only text-to-image minds that.
    if (config['use_flow_sigmas'] === true && request.task === 'text-to-image') return { numInferenceSteps: steps, mu }
    if (!('numInferenceSteps' in asked)) return { ...asked, mu }
    return { sigmas: linspace(1, 1 / steps, steps), mu }
  },
  skippedSteps: (_spec, _request, steps, strength) => skippedByFraction(steps, strength),
  shape(spec, width, height) {
    const { rows, columns } = patches(spec, width, height)
    return [rows * columns, spec.latentChannels * 4]
  },
  pack: (latents, spec, width, height) => repack(latents, spec, width, height, 'pack'),
  unpack: (latents, spec, width, height) => repack(latents, spec, width, height, 'unpack'),
  decodingOf: ({ latents }) => latents,
  modelTimestep: (timestep) => Math.fround(timestep / 1000),
  condition(spec, { width, height, guidanceScale }, prompt) {
    const [clip, t5] = prompt
    const text = t5!['last_hidden_state']!
    const guidance = { guidance: { data: Float32Array.of(guidanceScale), dims: [] } }
    return {
      rows: [
        {
          encoder_hidden_states: text,
          pooled_projections: clip!['pooler_output']!,
          ...(spec.hasGuidanceEmbeds && guidance),
        },
      ],
      shared: {
        txt_ids: { data: new Float32Array(text.dims[0]! * 3), dims: [text.dims[0]!, 3] },
        img_ids: imageIds(spec, width, height),
      },
    }
  },
}

function patches(spec: ModelSpec, width: number, height: number): { rows: number; columns: number } {
  const side = (pixels: number): number => Math.floor(pixels / spec.vaeScaleFactor / 2)
  return { rows: side(height), columns: side(width) }
}

/** Row and column of each patch. */
function imageIds(spec: ModelSpec, width: number, height: number): Tensor {
  const { rows, columns } = patches(spec, width, height)
  const data = new Float32Array(rows * columns * 3)
  for (let p = 0; p < rows * columns; p++) {
    data[3 * p + 1] = Math.floor(p / columns)
    data[3 * p + 2] = p % columns
  }
  return { data, dims: [rows * columns, 3] }
}

/** Between [channels, height, width] and [patches, channels × 2 × 2]. diffusers `_pack_latents`. */
function repack(
  latents: Float32Array,
  spec: ModelSpec,
  width: number,
  height: number,
  direction: 'pack' | 'unpack',
): Float32Array {
  const { rows, columns } = patches(spec, width, height)
  const out = new Float32Array(latents.length)
  let packed = 0
  for (let p = 0; p < rows * columns; p++) {
    const top = 2 * Math.floor(p / columns)
    const left = 2 * (p % columns)
    for (let c = 0; c < spec.latentChannels; c++) {
      for (let k = 0; k < 4; k++, packed++) {
        const plain = (c * 2 * rows + top + (k >> 1)) * 2 * columns + left + (k & 1)
        if (direction === 'pack') out[packed] = latents[plain]!
        else out[plain] = latents[packed]!
      }
    }
  }
  return out
}
