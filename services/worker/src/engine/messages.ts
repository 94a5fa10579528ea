import type { ErrorCode } from '@darkroom/chassis'
import type { ImageRequest } from '@darkroom/diffusion'

/** One image for the engine, complete. */
export interface RenderRequest extends ImageRequest {
  readonly prompt: string
  readonly negativePrompt: string
}

export interface EngineOptions {
  readonly device: 'auto' | 'cpu' | 'cuda' | 'webgpu'
  readonly deviceOrdinal: number
  readonly threads: number
  /** Rows of one UNet call. */
  readonly maxRows: number
}

export interface ChosenDevice {
  readonly kind: 'cpu' | 'cuda' | 'webgpu'
  readonly name: string
  /** Why this one, and why no other. */
  readonly reason: string
}

/** To the engine thread. */
export type EngineOrder =
  | { readonly type: 'load'; readonly pin: string; readonly folder: string }
  | { readonly type: 'unload'; readonly pin: string }
  | { readonly type: 'render'; readonly job: number; readonly pin: string; readonly request: RenderRequest }
  | { readonly type: 'drop'; readonly jobs: readonly number[] }
  | { readonly type: 'stop' }

/** From the engine thread. */
export type EngineReport =
  | { readonly type: 'ready'; readonly device: ChosenDevice }
  | { readonly type: 'unusable'; readonly message: string }
  | { readonly type: 'loaded'; readonly pin: string }
  | { readonly type: 'load-failed'; readonly pin: string; readonly message: string }
  | { readonly type: 'image'; readonly job: number; readonly image: RenderedRgb }
  | { readonly type: 'failed'; readonly job: number; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'tick'; readonly tick: Tick }
  | {
      readonly type: 'stage'
      readonly stage: EngineStage
      readonly seconds: number
    }

/** Where an image's device seconds go. */
export type EngineStage = 'text_encode' | 'denoise' | 'vae_decode'

/** One UNet call. */
export interface Tick {
  readonly pin: string
  readonly rows: number
  readonly seconds: number
  /** Jobs that went one step further, with their schedulers. */
  readonly jobs: readonly number[]
  readonly schedulers: readonly string[]
}

export interface RenderedRgb {
  /** [height, width, 3], 8 bit. */
  readonly rgb: Uint8Array
  readonly width: number
  readonly height: number
  /** Device seconds: the image's share of each call. */
  readonly seconds: number
  /** Model calls that the image took. */
  readonly steps: number
  readonly warnings: readonly string[]
}
