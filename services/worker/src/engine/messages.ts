import type { Shapes } from './batch-sizes.ts'
import type { CheckpointDescription, GeneratorState, ImageRequest, LaneState, Raster } from '@darkroom/diffusion'

/** One image for the engine, complete. */
export interface RenderRequest extends ImageRequest {
  readonly prompt: string
  /** null: none was given, which Stable Diffusion XL tells from an empty one. */
  readonly negativePrompt: string | null
  /** Whether the checkpoint's safety checker judges the picture. */
  readonly safetyChecker: boolean
  /** Somebody waits for it: its steps come before those of all others. */
  readonly isInteractive?: boolean
  /** Pin of the checkpoint that finishes what denoisingEnd leaves. */
  readonly refiner?: string
  readonly preview?: PreviewRequest
  /** What its pictures are, by content: those that many images start from are encoded once. */
  readonly picturesId?: string
}

export interface PreviewRequest {
  /** Steps from one to the next. */
  readonly every: number
  readonly mode: 'estimate' | 'decode'
}

/**
 * How far a render is, as plain data: with its request, enough for any worker with the same kind of device to go on to the
 * identical picture.
 */
export interface RenderState {
  /** What a base did, once its refiner has taken over. */
  readonly base: BaseWork | null
  /** null: the refiner has not begun. */
  readonly lane: LaneState | null
  /** Device seconds of the loop so far. */
  readonly seconds: number
}

/** What a base leaves to its refiner. */
export interface BaseWork {
  /** [channels, height, width] */
  readonly latents: Float32Array
  /** Where the base's draws ended. */
  readonly generator: GeneratorState
  readonly seconds: number
  readonly steps: number
  readonly warnings: readonly string[]
}

export interface EngineOptions {
  readonly device: 'auto' | 'cpu' | 'cuda' | 'webgpu'
  readonly deviceOrdinal: number
  /** Folders that are searched first for what CUDA needs. */
  readonly cudaLibraryPath: readonly string[]
  readonly threads: number
  /** Rows of one UNet call at most; null: 8 on the CPU, 32 on a GPU. */
  readonly maxRows: number | null
  /** See batch-sizes.ts; `auto`: any on the CPU, a closed set on a GPU. */
  readonly shapes: 'auto' | Shapes
}

/** What the engine thread is started with. */
export interface EngineThreadData extends EngineOptions {
  /** Of the clock that counts what the device does. */
  readonly clockMemory: SharedArrayBuffer
}

export interface ChosenDevice {
  readonly kind: 'cpu' | 'cuda' | 'webgpu'
  readonly name: string
  /** Why this one, and why no other. */
  readonly reason: string
}

/** What pixels depend on, for one kind of device: on the request alone, or also, in rounding, on the company in its calls. */
export type Determinism = 'request' | 'request-and-batch'

/** What the engine settled on at its start. */
export interface EngineSettings {
  readonly device: ChosenDevice
  readonly maxRows: number
  readonly shapes: Shapes
  readonly determinism: Determinism
}

/** To the engine thread. */
export type EngineOrder =
  | {
      readonly type: 'load'
      readonly pin: string
      readonly folder: string
      readonly description: CheckpointDescription
    }
  | { readonly type: 'unload'; readonly pin: string }
  | {
      readonly type: 'render'
      readonly job: number
      readonly pin: string
      readonly request: RenderRequest
      readonly state?: RenderState
    }
  | { readonly type: 'snapshot'; readonly id: number; readonly jobs: readonly number[] }
  | { readonly type: 'drop'; readonly jobs: readonly number[] }
  | { readonly type: 'stop' }

/** From the engine thread. */
export type EngineReport =
  | { readonly type: 'ready'; readonly settings: EngineSettings }
  | { readonly type: 'unusable'; readonly message: string }
  | { readonly type: 'loaded'; readonly pin: string }
  | { readonly type: 'load-failed'; readonly pin: string; readonly message: string }
  | { readonly type: 'image'; readonly job: number; readonly image: RenderedPicture }
  | { readonly type: 'preview'; readonly job: number; readonly preview: Preview }
  | { readonly type: 'failed'; readonly job: number; readonly message: string; readonly deviceSeconds: number }
  | { readonly type: 'snapshot'; readonly id: number; readonly states: ReadonlyMap<number, RenderState> }
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
  /** Rows of the call with those of padding. */
  readonly padded: number
  /** From its begin to its end. */
  readonly seconds: number
  /** Jobs that went one step further, with their schedulers. */
  readonly jobs: readonly number[]
  readonly schedulers: readonly string[]
}

/** A picture on its way. */
export interface Preview {
  /** Steps of the scheduler that were made, of how many. */
  readonly step: number
  readonly steps: number
  readonly picture: Raster
  /** Pixels of the finished picture; a sketch is smaller. */
  readonly width: number
  readonly height: number
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
