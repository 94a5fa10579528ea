import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'

const ROOT = path.resolve(import.meta.dirname, '../..')
const EXAMPLE = path.join(import.meta.dirname, 'denoising-loop.ts')
let directory: string

beforeAll(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'darkroom-example-'))
  symlinkSync(path.join(ROOT, 'deploy'), path.join(directory, 'deploy'))
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

test('the example shows its sample every few steps, and ends at the picture of diffusers', async () => {
  await promisify(execFile)(process.execPath, [EXAMPLE, '50', '10', '100'], { cwd: directory })
  const pictures = readdirSync(path.join(directory, 'renders'))
  expect(pictures.toSorted()).toEqual(['step-10.png', 'step-20.png', 'step-30.png', 'step-40.png', 'step-50.png'])
  const raw = (file: string): Promise<Buffer> => sharp(file).removeAlpha().raw().toBuffer()
  const [got, want] = await Promise.all([
    raw(path.join(directory, 'renders/step-50.png')),
    raw(path.join(ROOT, 'test/golden/reference', 'uncond_0_ddpm.png')),
  ])
  expect(got.reduce((worst, level, j) => Math.max(worst, Math.abs(level - want[j]!)), 0)).toBeLessThanOrEqual(1)
})

test('the page shows the example as it is', () => {
  const page = readFileSync(path.join(ROOT, 'docs/denoising-loop.md'), 'utf8')
  expect(page).toContain(readFileSync(EXAMPLE, 'utf8'))
})
