import {
  advanceLane,
  createLane,
  denormalizeLatents,
  describeCheckpoint,
  isFinished,
  timestepOf,
  toRgb8,
  writeModelInput,
} from '@darkroom/diffusion'
import type { ImageRequest, Lane } from '@darkroom/diffusion'
import { Tokenizer } from '@huggingface/tokenizers'
import { createHash } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'

export interface BareRequest extends ImageRequest {
  readonly prompt: string
}

export interface BareOrder {
  readonly requests: readonly BareRequest[]
  /** Images that are denoised together; 1: what a person would write first. */
  readonly together: number
}

/**
 * The baseline of farm-overhead: one process, the model, the same library and nothing else: no queue, no store, no PNG. Speaks over
 * IPC: orders in, seconds and hashes out.
 */
const [folder, threads] = process.argv.slice(2) as [string, string]
const json = (file: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as Record<string, unknown>
const configs = Object.fromEntries(
  ['model_index.json', ...globSync('*/*config.json', { cwd: folder })].map((file) => [file, json(file)]),
)
const { spec, promptMaxLength } = describeCheckpoint(configs)
const options: InferenceSession.SessionOptions = {
  intraOpNumThreads: Number(threads),
  interOpNumThreads: 1,
  graphOptimizationLevel: 'all',
  extra: { session: { intra_op: { allow_spinning: '0' } } },
}
const load = (part: string): Promise<InferenceSession> =>
  InferenceSession.create(path.join(folder, part, 'model.onnx'), options)
const [textEncoder, unet, decoder] = [await load('text_encoder'), await load('unet'), await load('vae_decoder')]
const tokenizer = new Tokenizer(json('tokenizer/tokenizer.json'), json('tokenizer/tokenizer_config.json'))
const padId = tokenizer.token_to_id('<|endoftext|>')!

async function encode(prompt: string): Promise<Float32Array> {
  const { ids } = tokenizer.encode(prompt)
  const padded = [...ids, ...Array<number>(promptMaxLength! - ids.length).fill(padId)]
  const { last_hidden_state: hidden } = await textEncoder.run({
    input_ids: new Tensor('int32', padded, [1, promptMaxLength!]),
  })
  return hidden!.data as Float32Array
}

/** Denoises images together, each with its two rows, and decodes one after the other. */
async function render(requests: readonly BareRequest[]): Promise<readonly Uint8Array[]> {
  const unconditional = await encode('')
  const lanes: { readonly lane: Lane; readonly states: readonly Float32Array[] }[] = []
  for (const request of requests) {
    lanes.push({ lane: createLane(spec, request), states: [unconditional, await encode(request.prompt)] })
  }
  for (let left = lanes; left.length > 0; left = left.filter(({ lane }) => !isFinished(lane))) await step(left)
  const pictures: Uint8Array[] = []
  for (const [i, { lane }] of lanes.entries()) {
    const latents = denormalizeLatents(lane.latents, spec.latentChannels, spec.latents)
    const { sample } = await decoder.run({ latent_sample: new Tensor('float32', latents, [1, ...lane.shape]) })
    pictures.push(toRgb8(sample!.data as Float32Array, requests[i]!.width, requests[i]!.height).data)
  }
  return pictures
}

async function step(
  lanes: readonly { readonly lane: Lane; readonly states: readonly Float32Array[] }[],
): Promise<void> {
  const { latents, shape } = lanes[0]!.lane
  const size = latents.length
  const sample = new Float32Array(2 * lanes.length * size)
  for (const [i, { lane }] of lanes.entries()) writeModelInput(lane, sample, 2 * i * size)
  const timesteps = lanes.flatMap(({ lane }) => Array<bigint>(2).fill(BigInt(Math.trunc(timestepOf(lane)))))
  const states = lanes.flatMap((each) => each.states)
  const width = states[0]!.length
  const stacked = new Float32Array(states.length * width)
  for (const [i, state] of states.entries()) stacked.set(state, i * width)
  const { out_sample: output } = await unet.run({
    sample: new Tensor('float32', sample, [2 * lanes.length, ...shape]),
    timestep: new Tensor('int64', BigInt64Array.from(timesteps), [2 * lanes.length]),
    encoder_hidden_states: new Tensor('float32', stacked, [states.length, promptMaxLength!, width / promptMaxLength!]),
  })
  for (const [i, { lane }] of lanes.entries()) advanceLane(lane, output!.data as Float32Array, 2 * i * size)
}

process.on('message', ({ requests, together }: BareOrder) => {
  void (async () => {
    const cpu = process.cpuUsage()
    const start = performance.now()
    const hashes: string[] = []
    for (let from = 0; from < requests.length; from += together) {
      for (const picture of await render(requests.slice(from, from + together)))
        hashes.push(createHash('sha256').update(picture).digest('hex'))
    }
    const seconds = (performance.now() - start) / 1000
    const { user, system } = process.cpuUsage(cpu)
    process.send!({ seconds, cpuSeconds: (user + system) / 1e6, hashes })
  })()
})
process.send!('ready')
