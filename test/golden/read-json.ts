import { parsePythonJson } from '@darkroom/chassis'
import { readFileSync } from 'node:fs'

/** Reads JSON as Python writes it. */
export function readJson(file: string): unknown {
  return parsePythonJson(readFileSync(file, 'utf8'))
}
