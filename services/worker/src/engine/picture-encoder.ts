import { encoderInputs, toLatentDepth, toPixelValues } from '@darkroom/diffusion'
import type { DepthMap, EncodedInputs, ModelSpec } from '@darkroom/diffusion'
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { RenderRequest } from './messages.ts'
import { readPixelsConfig } from './safety-checker.ts'
import { Graph } from './sessions.ts'
import type { SessionSettings } from './sessions.ts'

/** Brings a request's pictures into latent space; its graphs are loaded when the first picture comes. */
export class PictureEncoder {
  readonly #folder: string
  readonly #spec: ModelSpec
  readonly #settings: SessionSettings
  #vae: Graph | null = null
  #depth: Graph | null = null

  constructor(folder: string, spec: ModelSpec, settings: SessionSettings) {
    this.#folder = folder
    this.#spec = spec
    this.#settings = settings
  }

  /** @throws RangeError for a request that lacks a picture, or one that the checkpoint cannot take */
  async encode(request: RenderRequest): Promise<EncodedInputs> {
    const { image, maskedImage } = encoderInputs(this.#spec, request)
    return {
      ...(image !== null && { image: await this.#encodeVae(image, request) }),
      ...(maskedImage !== null && { maskedImage: await this.#encodeVae(maskedImage, request) }),
      ...(request.task === 'depth-to-image' && { depth: await this.#depthOf(request) }),
    }
  }

  async #encodeVae(
    data: Float32Array,
    { width, height }: Pick<RenderRequest, 'width' | 'height'>,
  ): Promise<Float32Array> {
    this.#vae ??= await this.#load('vae_encoder')
    if (!this.#vae.outputs.includes('latent_parameters')) {
      throw new RangeError(
        'vae_encoder/model.onnx draws its own noise (no output latent_parameters), which no seed reaches; export the checkpoint again.',
      )
    }
    return this.#vae.runOne({ sample: { data, dims: [1, 3, height, width] } }, 'latent_parameters')
  }

  /** Latents of a square picture, before they are normalised; null where the checkpoint has no encoder. */
  async meansOf(data: Float32Array, side: number): Promise<Float32Array | null> {
    if (!existsSync(path.join(this.#folder, 'vae_encoder', 'model.onnx'))) return null
    const parameters = await this.#encodeVae(data, { width: side, height: side })
    return parameters.slice(0, parameters.length / 2)
  }

  async #depthOf(request: RenderRequest): Promise<Float32Array> {
    const { vaeScaleFactor } = this.#spec
    const map = request.depthMap ?? (await this.#estimateDepth(request))
    return toLatentDepth(map, request.width / vaeScaleFactor, request.height / vaeScaleFactor)
  }

  async #estimateDepth({ image }: RenderRequest): Promise<DepthMap> {
    this.#depth ??= await this.#load('depth_estimator')
    const { data, dims } = toPixelValues(image!, readPixelsConfig(this.#folder))
    const { predicted_depth: depth } = await this.#depth.run({ pixel_values: { data, dims: [1, ...dims] } }, [
      'predicted_depth',
    ])
    const [height, width] = depth!.dims.slice(-2) as [number, number]
    return { width, height, data: depth!.data }
  }

  #load(name: string): Promise<Graph> {
    return Graph.load(path.join(this.#folder, name, 'model.onnx'), this.#settings)
  }

  async release(): Promise<void> {
    await this.#vae?.release()
    await this.#depth?.release()
  }
}
