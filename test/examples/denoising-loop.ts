import { drawNoise, schedulerFromConfig, toRgb8, TorchGenerator } from '@darkroom/diffusion'
import { mkdirSync, readFileSync } from 'node:fs'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import sharp from 'sharp'

const CHECKPOINT = 'deploy/checkpoints/emoji-ddpm'
const OUT = 'renders'
const SIDE = 32
const [steps = 50, every = 10, seed = 0] = process.argv.slice(2).map(Number)

// A model and a scheduler are separate parts: any class can take the place of the one that the checkpoint was saved with.
const unet = await InferenceSession.create(`${CHECKPOINT}/unet/model.onnx`)
const saved = JSON.parse(readFileSync(`${CHECKPOINT}/scheduler/scheduler_config.json`, 'utf8'))
const { scheduler, config } = schedulerFromConfig('DDPMScheduler', saved)
const plan = scheduler.plan(config, { numInferenceSteps: steps })

// torch.manual_seed(seed); sample = torch.randn(1, 3, 32, 32)
const generator = new TorchGenerator(seed)
let sample = generator.randn(3 * SIDE * SIDE)
let state = scheduler.initialState(plan)
mkdirSync(OUT, { recursive: true })

for (const [i, timestep] of plan.timesteps.entries()) {
  const input = new Float32Array(sample.length)
  scheduler.scaleModelInput(plan, i, sample, input)
  const { out_sample: residual } = await unet.run({
    sample: new Tensor('float32', input, [1, 3, SIDE, SIDE]),
    timestep: new Tensor('int64', [BigInt(timestep)], [1]),
  })
  const noise = drawNoise(scheduler.noiseOf(plan, i, {}), sample.length, generator, seed)
  const next = new Float32Array(sample.length)
  state = scheduler.step(plan, i, residual!.data as Float32Array, sample, state, noise, {}, next)
  sample = next

  if ((i + 1) % every === 0) {
    const { data, width, height } = toRgb8(sample, SIDE, SIDE)
    await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toFile(`${OUT}/step-${i + 1}.png`)
    console.log(`step ${i + 1} of ${plan.timesteps.length}, timestep ${timestep}: ${OUT}/step-${i + 1}.png`)
  }
}
