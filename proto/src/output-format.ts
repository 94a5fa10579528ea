/** What finished pictures are written as, by an item's `outputFormat`. The extension ends the object key. */
export const OUTPUT_FORMATS = {
  png: { contentType: 'image/png', extension: 'png' },
  jpeg: { contentType: 'image/jpeg', extension: 'jpg' },
  webp: { contentType: 'image/webp', extension: 'webp' },
} as const

export type OutputFormat = keyof typeof OUTPUT_FORMATS

/** What an item's field asks for, which is left empty for PNG; null where it names no format. */
export function parseOutputFormat(text: string): OutputFormat | null {
  if (text === '') return 'png'
  return Object.hasOwn(OUTPUT_FORMATS, text) ? (text as OutputFormat) : null
}
