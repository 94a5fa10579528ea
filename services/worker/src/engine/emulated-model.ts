import type { EncodedInputs, LatentSketch } from '@darkroom/diffusion'
import { setTimeout as delay } from 'node:timers/promises'
import { describeFolder } from './describe-folder.ts'
import type { ModelCalls, Timed, Turn } from './model.ts'
import type { DenoiserCall } from './model-graphs.ts'
import type { EncodedPrompt } from './prompt-encoders.ts'

export interface EmulatedDevice {
  /** Milliseconds of a denoiser call of B rows: overheadMs + rowMs · B. One call at a time. */
  readonly overheadMs: number
  readonly rowMs: number
  /** Milliseconds more for a call with other shapes than the one before it. */
  readonly switchMs?: number
  /** Rows above which the device has no memory. */
  readonly memoryRows?: number
  /** How its denoiser takes timesteps. Default: one for each sample. */
  readonly timestepDims?: readonly (number | string)[]
}

/**
 * A stated stand-in for a GPU, to study batching where there is none: calls take the time that the device is said to take and put
 * out zeros. What it renders is no picture of anything.
 */
export class EmulatedModel implements ModelCalls {
  readonly description
  readonly timestepDims: readonly (number | string)[]
  /** Rows of each call of the denoiser, in order. */
  readonly calls: number[] = []
  readonly #device: EmulatedDevice
  #shape = ''
  #busy: Promise<unknown> = Promise.resolve()

  /** @param folder a checkpoint without a text encoder, for its configs */
  constructor(folder: string, device: EmulatedDevice) {
    this.description = describeFolder(folder)
    this.timestepDims = device.timestepDims ?? ['batch_size']
    this.#device = device
  }

  denoise({ rows, count }: DenoiserCall): Promise<Timed<Float32Array>> {
    const { overheadMs, rowMs, switchMs = 0, memoryRows = Infinity } = this.#device
    const shape = rows['sample']!.dims.join()
    const done = this.#busy.then(async () => {
      const milliseconds = overheadMs + rowMs * count + (shape === this.#shape ? 0 : switchMs)
      if (count > memoryRows) throw new Error('CUDA failure 2: out of memory')
      this.calls.push(count)
      this.#shape = shape
      const start = performance.now()
      await delay(milliseconds)
      // Timers fire up to a millisecond late, which is not the device's doing.
      while (performance.now() - start < milliseconds);
      return { value: new Float32Array(rows['sample']!.data.length), ...taking(milliseconds / 1000) }
    })
    this.#busy = done.catch(() => {})
    return done
  }

  encodePrompt(): Promise<Timed<EncodedPrompt>> {
    return Promise.resolve({ value: { outputs: [], warnings: [] }, ...taking(0) })
  }

  encodePictures(): Promise<Timed<EncodedInputs>> {
    return Promise.resolve({ value: {}, ...taking(0) })
  }

  decode(_turn: Turn, latents: Float32Array): Promise<Timed<Float32Array>> {
    return Promise.resolve({ value: latents, ...taking(0) })
  }

  flags(): Promise<Timed<boolean>> {
    return Promise.resolve({ value: false, ...taking(0) })
  }

  fitSketch(): Promise<Timed<LatentSketch>> {
    return Promise.resolve({ value: { weights: [] }, ...taking(0) })
  }
}

/** Of a device that does nothing else meanwhile. */
function taking(seconds: number): Omit<Timed<unknown>, 'value'> {
  return { seconds, deviceSeconds: seconds }
}
