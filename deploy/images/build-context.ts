import { cpSync, globSync, readFileSync } from 'node:fs'
import path from 'node:path'

const ROOT = path.resolve(import.meta.dirname, '..', '..')

/** Lines of .dockerignore: what is let in by its path, and what of that is left out by its name in any folder. */
function rules(): { readonly included: readonly string[]; readonly excluded: readonly string[] } {
  const lines = readFileSync(path.join(ROOT, '.dockerignore'), 'utf8').split('\n')
  return {
    included: lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1)),
    excluded: lines.filter((line) => line.startsWith('**/')).map((line) => line.slice(3)),
  }
}

/** Copies what a builder is given of the repository. */
export function copyContext(target: string): void {
  const { included, excluded } = rules()
  const isExcluded = (file: string): boolean => excluded.some((name) => path.matchesGlob(path.basename(file), name))
  for (const name of included.flatMap((pattern) => globSync(pattern, { cwd: ROOT })))
    cpSync(path.join(ROOT, name), path.join(target, name), { recursive: true, filter: (file) => !isExcluded(file) })
}

/** Whether a file of the repository is in the context. */
export function isInContext(file: string): boolean {
  const { included, excluded } = rules()
  return (
    included.some((pattern) => path.matchesGlob(file, pattern) || path.matchesGlob(file, `${pattern}/**`)) &&
    !file.split('/').some((part) => excluded.some((name) => path.matchesGlob(part, name)))
  )
}

export function workspaceFolders(): readonly string[] {
  const { workspaces } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { workspaces: string[] }
  return workspaces.flatMap((pattern) =>
    globSync(`${pattern}/package.json`, { cwd: ROOT }).map((file) => path.dirname(file)),
  )
}
