import { DarkroomError } from '@darkroom/chassis'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { PreviewJson } from './gateway-client.ts'

/**
 * Makes a folder that shows how far pictures are: ITEM-N.jpg is the newest preview of image N. A viewer that reloads never
 * sees half of one.
 * @returns writes a preview
 * @throws DarkroomError INVALID_REQUEST for a folder that cannot be written
 */
export async function openPreviewFolder(folder: string): Promise<(preview: PreviewJson) => Promise<void>> {
  await mkdir(folder, { recursive: true }).catch(refuse(folder))
  return async ({ item, image, picture }) => {
    const file = path.join(folder, `${item}-${image}.jpg`)
    const jpeg = Buffer.from(picture.slice(picture.indexOf(',') + 1), 'base64')
    await writeFile(`${file}.part`, jpeg).catch(refuse(file))
    await rename(`${file}.part`, file).catch(refuse(file))
  }
}

function refuse(file: string): (cause: Error) => never {
  return (cause) => {
    throw new DarkroomError('INVALID_REQUEST', `cannot write ${file}: ${cause.message}`, { cause })
  }
}
