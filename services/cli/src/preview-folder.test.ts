import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openPreviewFolder } from './preview-folder.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'darkroom-previews-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const previewOf = (item: number, image: number, text: string) => ({
  item,
  image,
  step: 5,
  steps: 20,
  picture: `data:image/jpeg;base64,${Buffer.from(text).toString('base64')}`,
})

test('each image has one file, its newest preview', async () => {
  const out = path.join(folder, 'made/for/it')
  const write = await openPreviewFolder(out)
  for (const preview of [previewOf(0, 0, 'old'), previewOf(12, 1, 'other'), previewOf(0, 0, 'new')])
    await write(preview)
  expect((await readdir(out)).toSorted()).toEqual(['0-0.jpg', '12-1.jpg'])
  expect(await readFile(path.join(out, '0-0.jpg'), 'utf8')).toBe('new')
})

test('a folder that cannot be written is refused by name', async () => {
  const file = path.join(folder, 'a-file')
  await writeFile(file, '')
  await expect(openPreviewFolder(file)).rejects.toMatchObject({
    code: 'INVALID_REQUEST',
    message: expect.stringContaining(file),
  })
  const write = await openPreviewFolder(path.join(folder, 'soon-gone'))
  await rm(path.join(folder, 'soon-gone'), { recursive: true })
  await expect(write(previewOf(0, 0, ''))).rejects.toThrow(/cannot write .*0-0\.jpg/)
})
