import sharp from 'sharp'

/** Most levels that a channel of a PNG is off; infinite where the size is another. */
export async function worstLevel(
  file: string,
  want: { readonly width: number; readonly height: number; readonly rgb_base64: string },
): Promise<number> {
  const { data, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true })
  const expected = Buffer.from(want.rgb_base64, 'base64')
  if (info.width !== want.width || info.height !== want.height || data.length !== expected.length) return Infinity
  return data.reduce((most, level, j) => Math.max(most, Math.abs(level - expected[j]!)), 0)
}
