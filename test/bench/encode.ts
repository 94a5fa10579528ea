import type { Raster } from '@darkroom/diffusion'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { encodePicture } from '../../services/worker/src/encoding/encode-picture.ts'
import { PngEncoder } from '../../services/worker/src/encoding/png-encoder.ts'
import type { BenchResult } from './main.ts'
import { photo } from './photo.ts'
import { median, ratioSummary, round } from './statistics.ts'

/**
 * Milliseconds of one photo-like picture of 512 × 512 as the worker's PNG, texts and all, from the call to the file, over
 * sharp's default png() without texts. In each pair five pictures are encoded by both in turn, one picture at a time, and the
 * fastest of each side count: what others take of the machine in between is nobody's cost.
 *
 * `engineThreadMs` is what the calling thread, the worker's control thread, is kept from anything else for one picture: the
 * active time of its event loop (performance.eventLoopUtilization) from before the call until the file is there, median over
 * all pictures. On a busy machine it holds the time that the thread waits for a processor too. The thread of the denoising
 * loop has no part in encoding at all. `bytesRatio` compares the files.
 *
 * 2026-11-25, Xeon at 2.8 GHz: sharp's level 1 took 0.60 of its default and wrote files larger than raw pixels, adaptive
 * filters took longer than the default. Measured alone, the Average filter takes 1 ms, Huffman codes 5 and sharp 17; predicted
 * with the thread between: 0.40, 0.3 ms blocked. Measured with both cores taken by others: 0.39 to 0.42, 0.21 to 0.27 ms, 0.44
 * of the bytes.
 */

const TEXTS = { darkroom: '{"item":{"prompt":"a red apple"}}', parameters: 'a red apple\nSteps: 20, Seed: 0' }
const PICTURES = 5
const WARM_UP_PAIRS = 2

interface Timed {
  readonly ms: number
  readonly blockedMs: number
  readonly bytes: number
}

export async function run(args: readonly string[]): Promise<BenchResult> {
  const { values } = parseArgs({ args: [...args], options: { pairs: { type: 'string', default: '20' } } })
  const pairs = Number(values.pairs)
  await using png = new PngEncoder((reason) => {
    throw reason
  })
  const pictures = Array.from({ length: PICTURES }, (_, seed) => photo(512, 512, seed))
  const ours = (picture: Raster): Promise<Buffer> => encodePicture(png, picture, 'png', TEXTS)
  const sharps = ({ data, ...raw }: Raster): Promise<Buffer> => sharp(data, { raw }).png().toBuffer()

  const ratios: number[] = []
  const all: Timed[] = []
  const bytesRatios: number[] = []
  for (let pair = -WARM_UP_PAIRS; pair < pairs; pair++) {
    const [our, their]: [Timed[], Timed[]] = [[], []]
    for (const picture of pictures) {
      their.push(await timed(sharps, picture))
      our.push(await timed(ours, picture))
    }
    if (pair < 0) continue
    ratios.push(fastest(our) / fastest(their))
    all.push(...our)
    bytesRatios.push(...our.map(({ bytes }, i) => bytes / their[i]!.bytes))
    console.log(`pair ${pair + 1}: worker ${fastest(our).toFixed(1)} ms, sharp ${fastest(their).toFixed(1)} ms`)
  }
  return {
    values: {
      ...ratioSummary('ratio', ratios),
      engineThreadMs: round(median(all.map(({ blockedMs }) => blockedMs))),
      bytesRatio: round(median(bytesRatios)),
    },
    baseline: "sharp's png() with its defaults: level 6, no filters",
    pairs,
  }
}

function fastest(times: readonly Timed[]): number {
  return Math.min(...times.map(({ ms }) => ms))
}

async function timed(encode: (picture: Raster) => Promise<Buffer>, picture: Raster): Promise<Timed> {
  // The worker's picture goes to its thread, and is made beforehand, as the engine's is.
  const copy = { ...picture, data: picture.data.slice() }
  const before = performance.eventLoopUtilization()
  const start = performance.now()
  const file = await encode(copy)
  const ms = performance.now() - start
  const { active } = performance.eventLoopUtilization(before)
  return { ms, blockedMs: active, bytes: file.length }
}
