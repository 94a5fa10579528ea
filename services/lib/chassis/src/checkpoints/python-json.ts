/**
 * Parses JSON as Python writes it, and so as diffusers saves configs: -Infinity, Infinity and NaN may stand where a number
 * may; NaN becomes null.
 * @throws SyntaxError
 */
export function parsePythonJson(text: string): unknown {
  const strict = text.replaceAll(/"(?:[^"\\]|\\.)*"|-?\b(?:Infinity|NaN)\b/g, (token) => {
    if (token.startsWith('"')) return token
    if (token.endsWith('NaN')) return 'null'
    return token.startsWith('-') ? '-1e999' : '1e999'
  })
  return JSON.parse(strict) as unknown
}
