import type { ErrorCode } from '@darkroom/chassis'
import type { ImageRequest, Raster } from '@darkroom/diffusion'

/** One image for the engine, complete. */
export interface RenderRequest extends ImageRequest {
  readonly prompt: string
  /** null: none was given, which Stable Diffusion XL tells from an empty one. */
  readonly negativePrompt: string | null
  /** Whether the checkpoint's safety checker judges the picture. */
  readonly safetyChecker: boolean
  /** Pin of the checkpoint that finishes what denoisingEnd leaves. */
  readonly refiner?: string
  readonly preview?: PreviewRequest
}

export interface PreviewRequest {
  /** Steps from one to the next. */
  readonly every: number
  readonly mode: 'estimate' | 'decode'
}

export interface EngineOptions {
  readonly device: 'auto' | 'cpu' | 'cuda' | 'webgpu'
  readonly deviceOrdinal: number
  /** Folders that are searched first for what CUDA needs. */
  readonly cudaLibraryPath: readonly string[]
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
  | { readonly type: 'image'; readonly job: number; readonly image: RenderedPicture }
  | { readonly type: 'preview'; readonly job: number; readonly preview: Preview }
  | { readonly type: 'failed'; readonly job: number; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'tick'; readonly tick: Tick }
  | {
      readonly type: 'stage'
      readonly stage: EngineStage
      readonly seconds: number
    }

/** Where an image's device seconds go. */
export type EngineStage = 'text_encode' | 'vae_encode' | 'denoise' | 'vae_decode'

/** One UNet call. */
export interface Tick {
  readonly pin: string
  readonly rows: number
  readonly seconds: number
  /** Jobs that went one step further, with their schedulers. */
  readonly jobs: readonly number[]
  readonly schedulers: readonly string[]
}

/** A picture on its way. */
export interface Preview {
  /** Model calls that were made, of how many. */
  readonly step: number
  readonly steps: number
  readonly picture: Raster
}

export interface RenderedPicture {
  readonly picture: Raster
  /** Device seconds: the image's share of each call. */
  readonly seconds: number
  /** Model calls that the image took. */
  readonly steps: number
  readonly warnings: readonly string[]
  /** Whether the safety checker blacked it out; null where none judged it. */
  readonly isFlagged: boolean | null
}
