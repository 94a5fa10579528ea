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
import type { ImageRequest } from '@darkroom/diffusion'
import { Tokenizer } from '@huggingface/tokenizers'
import { createHash } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'

export interface BareRequest extends ImageRequest {
  readonly prompt: string
}

/**
 * The baseline of farm-overhead: what a person would write first. One process, one image at a time, the model, the same
 * library and nothing else: no queue, no store, no batching, no PNG. Speaks over IPC: requests in, seconds and hashes out.
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

async function render(request: BareRequest): Promise<Uint8Array> {
  const lane = createLane(spec, request)
  const size = lane.latents.length
  const [unconditional, conditional] = [await encode(''), await encode(request.prompt)]
  const states = new Tensor('float32', Float32Array.from([...unconditional, ...conditional]), [
    2,
    promptMaxLength!,
    conditional.length / promptMaxLength!,
  ])
  while (!isFinished(lane)) {
    const sample = new Float32Array(2 * size)
    writeModelInput(lane, sample, 0)
    const t = BigInt(Math.trunc(timestepOf(lane)))
    const feeds = {
      sample: new Tensor('float32', sample, [2, ...lane.shape]),
      timestep: new Tensor('int64', BigInt64Array.of(t, t), [2]),
      encoder_hidden_states: states,
    }
    advanceLane(lane, (await unet.run(feeds))['out_sample']!.data as Float32Array, 0)
  }
  const latents = denormalizeLatents(lane.latents, spec.latentChannels, spec.latents)
  const { sample } = await decoder.run({ latent_sample: new Tensor('float32', latents, [1, ...lane.shape]) })
  return toRgb8(sample!.data as Float32Array, request.width, request.height).data
}

process.on('message', (requests: BareRequest[]) => {
  void (async () => {
    const cpu = process.cpuUsage()
    const start = performance.now()
    const hashes: string[] = []
    for (const request of requests)
      hashes.push(
        createHash('sha256')
          .update(await render(request))
          .digest('hex'),
      )
    const seconds = (performance.now() - start) / 1000
    const { user, system } = process.cpuUsage(cpu)
    process.send!({ seconds, cpuSeconds: (user + system) / 1e6, hashes })
  })()
})
process.send!('ready')
