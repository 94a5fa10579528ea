import { DarkroomError } from '@darkroom/chassis'
import { isInputPictureKey } from '@darkroom/proto'
import path from 'node:path'
import { linesOf } from './lines.ts'

const PICTURE_FIELDS = ['image', 'maskImage', 'depthMap'] as const
/** Whoever has none of them in a line spares it the parsing. */
const MENTION = /"(?:image|maskImage|depthMap)"/

/**
 * The same lines with keys for the files that they name as pictures, relative to `folder`; each file is uploaded once. What is
 * a data URL, a key or an address stays as it is, and so does a line that cannot be read: the gateway says what is wrong.
 * @throws DarkroomError with line and field of a file that cannot be uploaded
 */
export async function* linesWithPictures(
  body: AsyncIterable<Uint8Array>,
  folder: string,
  upload: (file: string) => Promise<string>,
): AsyncGenerator<Buffer> {
  const keys = new Map<string, string>()
  let line = 0
  for await (const text of linesOf(body)) {
    line++
    const item = MENTION.test(text) ? parsed(text) : null
    const files = item === null ? [] : PICTURE_FIELDS.filter((field) => isFile(item[field]))
    for (const field of files) {
      const value = String(item![field])
      const file = path.resolve(folder, value)
      try {
        const key = keys.get(file) ?? (await upload(file))
        keys.set(file, key)
        item![field] = key
      } catch (reason) {
        const { code, message } = DarkroomError.from(reason)
        throw new DarkroomError(code, 'a picture of a line cannot be uploaded; nothing was submitted', {
          cause: reason,
          problems: [{ line, field, value, message }],
        })
      }
    }
    yield Buffer.from(`${files.length === 0 ? text : JSON.stringify(item)}\n`)
  }
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

function isFile(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && !isInputPictureKey(value) && !/^[a-z][a-z0-9+.-]+:/i.test(value)
}
