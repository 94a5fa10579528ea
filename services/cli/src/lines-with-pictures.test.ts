import { DarkroomError } from '@darkroom/chassis'
import { expect, test } from 'vitest'
import { linesWithPictures } from './lines-with-pictures.ts'

const KEY = `inputs/default/sha256/${'a'.repeat(64)}`

async function rewritten(lines: readonly string[], upload = async (file: string) => `key of ${file}`): Promise<string> {
  async function* body() {
    yield Buffer.from(lines.join('\n'))
  }
  return Buffer.concat(await Array.fromAsync(linesWithPictures(body(), '/pictures', upload))).toString()
}

test('files that lines name are uploaded, each once, relative to the folder', async () => {
  const uploads: string[] = []
  const lines = [
    { prompt: 'a cat', image: 'cat.png', maskImage: '/masks/face.png' },
    { image: './cat.png', strength: 0.5 },
  ]
  const text = await rewritten(lines.map((line) => JSON.stringify(line)), async (file) => {
    uploads.push(file)
    return `key ${uploads.length}`
  }) // prettier-ignore
  expect(uploads).toEqual(['/pictures/cat.png', '/masks/face.png'])
  expect(text.trimEnd().split('\n').map((line) => JSON.parse(line) as object)).toEqual([
    { prompt: 'a cat', image: 'key 1', maskImage: 'key 2' },
    { image: 'key 1', strength: 0.5 },
  ]) // prettier-ignore
})

test('every other line goes through as it was written, for the gateway to judge', async () => {
  const lines = [
    '{"prompt":  "a \u2028 cat", "seed": 9007199254740993}',
    `{"image":"${KEY}"}`,
    '{"image":"data:image/png;base64,eHl6"}',
    '{"image":"https://example.org/cat.png"}',
    '{"image": 7}',
    '',
    '{"image": "cut o',
    '["image"]',
  ]
  expect(await rewritten(lines)).toBe(`${lines.join('\n')}\n`)
})

test('a file that cannot be uploaded is told with its line and field', async () => {
  const failing = rewritten(['{}', '{"maskImage":"none.png"}'], async (file) => {
    throw new DarkroomError('INVALID_REQUEST', `cannot read ${file}`)
  })
  await expect(failing).rejects.toMatchObject({
    code: 'INVALID_REQUEST',
    problems: [{ line: 2, field: 'maskImage', value: 'none.png', message: 'cannot read /pictures/none.png' }],
  })
})
