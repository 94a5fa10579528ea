/** Distances, larger is nearer, as a depth model puts them out: [height, width]. */
export interface DepthMap {
  readonly width: number
  readonly height: number
  readonly data: Float32Array
}

/**
 * A depth map as the depth-to-image UNet takes it: at the size of the latents, from -1 to 1.
 * diffusers `StableDiffusionDepth2ImgPipeline.prepare_depth_map`.
 * @returns [height, width]
 */
export function toLatentDepth(map: DepthMap, width: number, height: number): Float32Array {
  const sized = bicubic(map, width, height)
  const min = sized.reduce((a, b) => Math.min(a, b), Infinity)
  const max = sized.reduce((a, b) => Math.max(a, b), -Infinity)
  if (!(max > min)) throw new RangeError('depthMap is the same everywhere; want a map with near and far.')
  const range = Math.fround(max - min)
  return sized.map((depth) => Math.fround(2 * Math.fround(Math.fround(depth - min) / range)) - 1)
}

/** torch's bicubic `interpolate` without aligned corners: Keys' kernel with a = -0.75, edges repeated. */
function bicubic(map: DepthMap, width: number, height: number): Float32Array {
  const columns = Array.from({ length: width }, (_, x) => taps(x, map.width / width, map.width))
  const rows = Array.from({ length: height }, (_, y) => taps(y, map.height / height, map.height))
  const out = new Float32Array(width * height)
  for (const [y, row] of rows.entries()) {
    for (const [x, column] of columns.entries()) {
      let sum = 0
      for (let j = 0; j < 4; j++) {
        const line = row.at[j]! * map.width
        let across = 0
        for (let k = 0; k < 4; k++) across += map.data[line + column.at[k]!]! * column.weights[k]!
        sum += across * row.weights[j]!
      }
      out[y * width + x] = sum
    }
  }
  return out
}

function taps(index: number, scale: number, size: number): { at: readonly number[]; weights: readonly number[] } {
  const a = -0.75
  const position = (index + 0.5) * scale - 0.5
  const low = Math.floor(position)
  const t = position - low
  const near = (x: number): number => ((a + 2) * x - (a + 3)) * x * x + 1
  const far = (x: number): number => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
  return {
    at: [-1, 0, 1, 2].map((offset) => Math.min(Math.max(low + offset, 0), size - 1)),
    weights: [far(t + 1), near(t), near(1 - t), far(2 - t)],
  }
}
