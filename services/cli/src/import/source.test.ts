import os from 'node:os'
import { expect, test } from 'vitest'
import { parseSource } from './source.ts'

const COMMIT = '0123456789abcdef0123456789abcdef01234567'

test('a folder that is there is a folder, whatever it is called', async () => {
  expect(await parseSource(os.tmpdir())).toEqual({ kind: 'folder', folder: os.tmpdir() })
})

test('what is no folder is a repository, at main unless told otherwise', async () => {
  const repo = 'owner/name-1.5_x'
  expect(await parseSource(repo)).toEqual({ kind: 'hub', repo, revision: 'main' })
  expect(await parseSource(`${repo}@${COMMIT}`)).toEqual({ kind: 'hub', repo, revision: COMMIT })
  expect(await parseSource(repo, 'refs/pr/1')).toEqual({ kind: 'hub', repo, revision: 'refs/pr/1' })
  expect(await parseSource(`${repo}@onnx`, 'onnx')).toEqual({ kind: 'hub', repo, revision: 'onnx' })
})

test.for([
  './not-there',
  'name',
  '../x/y',
  'a/b/c',
  'https://huggingface.co/a/b',
  'owner/..',
  'owner/a--b',
  'owner/',
  '',
])('%j is neither', async (text) => {
  await expect(parseSource(text)).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
})

test.for(['../main', '/etc', 'a//b', '', 'a b', 'a?b'])('%j is no revision', async (revision) => {
  await expect(parseSource('owner/name', revision)).rejects.toThrow(/is no branch, tag or commit/)
})

test('two revisions, or one for a folder, are refused', async () => {
  await expect(parseSource('owner/name@a', 'b')).rejects.toThrow(/name two revisions/)
  await expect(parseSource(os.tmpdir(), 'main')).rejects.toThrow(/has no revisions/)
})
