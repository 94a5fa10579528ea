import type { KnownCheckpoint } from '../checkpoints/known-checkpoint.ts'
import { shown } from '../field-problems.ts'
import type { Problem } from '@darkroom/chassis'
import { MAX_PROMPT_BYTES } from './parameters.ts'

const MAX_BYTES_PER_UTF16_UNIT = 3

export function promptProblem(prompt: string | undefined): Problem | null {
  if (prompt === undefined) return { field: 'prompt', message: 'is required: say what to draw' }
  if (prompt.trim() === '') return { field: 'prompt', value: shown(prompt), message: 'is empty: say what to draw' }
  return textProblem('prompt', prompt)
}

export function textProblem(field: string, text: string): Problem | null {
  if (text.length > MAX_PROMPT_BYTES / MAX_BYTES_PER_UTF16_UNIT && Buffer.byteLength(text) > MAX_PROMPT_BYTES) {
    const message = `has ${Buffer.byteLength(text)} bytes of UTF-8, want at most ${MAX_PROMPT_BYTES}: shorten it`
    return { field, value: shown(text), message }
  }
  if (text.isWellFormed()) return null
  return { field, value: shown(text), message: 'has half of a surrogate pair, which UTF-8 cannot hold: remove it' }
}

export function sizeProblem(
  field: 'width' | 'height',
  pixels: number,
  { name, description }: KnownCheckpoint,
  maxSide: number,
): Problem | null {
  const { sizeMultiple, spec } = description
  const most = Math.min(maxSide, spec.maxSide ?? maxSide)
  if (pixels > most) {
    return {
      field,
      value: pixels,
      message: `want at most ${most}: a picture is resized to the width and height you give`,
    }
  }
  if (pixels % sizeMultiple === 0) return null
  const below = Math.max(1, Math.floor(pixels / sizeMultiple)) * sizeMultiple
  const message = `${name} needs a multiple of ${sizeMultiple}: ${below} or ${below + sizeMultiple}`
  return { field, value: pixels, message }
}

export function seedProblem(seed: number, numImages: number): Problem | null {
  const most = Number.MAX_SAFE_INTEGER - (numImages - 1)
  if (seed <= most) return null
  return { field: 'seed', value: seed, message: `image n uses seed + n: with ${numImages} images want at most ${most}` }
}
