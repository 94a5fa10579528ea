import { readFileSync } from 'node:fs'

/** Reads JSON as Python writes it: -Infinity, Infinity and NaN may stand where a number may; NaN becomes null. */
export function readJson(file: string): unknown {
  const strict = readFileSync(file, 'utf8').replaceAll(
    /(?<=[:[,]\s*)(-?)(Infinity|NaN)(?=\s*[,\]}])/g,
    (_, sign: string, word: string) => (word === 'NaN' ? 'null' : `${sign}1e999`),
  )
  return JSON.parse(strict)
}
