import { isFlagged, parsePixelValuesConfig, toPixelValues } from '@darkroom/diffusion'
import type { PixelValuesConfig, Raster } from '@darkroom/diffusion'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { Graph } from './sessions.ts'
import type { SessionSettings } from './sessions.ts'

const SCORES = ['special_cos_dist', 'special_care_embeds_weights', 'cos_dist', 'concept_embeds_weights'] as const

/** The safety checker of Stable Diffusion 1.x, where the checkpoint carries it. */
export class SafetyChecker {
  readonly #graph: Graph
  readonly #pixels: PixelValuesConfig

  private constructor(graph: Graph, pixels: PixelValuesConfig) {
    this.#graph = graph
    this.#pixels = pixels
  }

  static async load(folder: string, settings: SessionSettings): Promise<SafetyChecker> {
    const graph = await Graph.load(path.join(folder, 'safety_checker', 'model.onnx'), settings)
    return new SafetyChecker(graph, readPixelsConfig(folder))
  }

  /** @param picture RGB, as it would be shown */
  async flags(picture: Raster): Promise<boolean> {
    const { data, dims } = toPixelValues(picture, this.#pixels)
    const pixels = { data, dims: [1, ...dims] }
    const feeds = { pixel_values: pixels, clip_input: pixels }
    if (this.#graph.outputs.includes('has_nsfw_concepts')) {
      // Exports of the older kind judge by themselves, and want the picture to black it out.
      const images = { data: Float32Array.from(picture.data), dims: [1, picture.height, picture.width, 3] }
      return (await this.#graph.runOne({ ...feeds, images }, 'has_nsfw_concepts'))[0] === 1
    }
    const scores = await this.#graph.run(feeds, SCORES)
    return isFlagged({
      specialCosDist: scores['special_cos_dist']!.data,
      specialThresholds: scores['special_care_embeds_weights']!.data,
      cosDist: scores['cos_dist']!.data,
      thresholds: scores['concept_embeds_weights']!.data,
    })
  }

  release(): Promise<void> {
    return this.#graph.release()
  }
}

/** How the checkpoint's vision models want their pictures. */
export function readPixelsConfig(folder: string): PixelValuesConfig {
  const file = path.join(folder, 'feature_extractor', 'preprocessor_config.json')
  return parsePixelValuesConfig(JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>)
}
