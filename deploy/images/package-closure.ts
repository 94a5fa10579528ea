import { existsSync, lstatSync, readFileSync, realpathSync } from 'node:fs'
import path from 'node:path'

interface Manifest {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

export interface Closure {
  /** Folders of workspaces, relative to the root. */
  readonly workspaces: readonly string[]
  /** Folders of installed packages, relative to the root. */
  readonly packages: readonly string[]
  /** Links in node_modules to workspaces: where each is, and where it leads, relative to the root. */
  readonly links: ReadonlyMap<string, string>
}

/**
 * What a workspace needs at run time, found as Node finds it in what is installed, so that versions are those of the lockfile.
 * @throws Error where a dependency that is not optional is not installed
 */
export function closureOf(root: string, workspace: string): Closure {
  const workspaces = new Set<string>([workspace])
  const packages = new Set<string>()
  const links = new Map<string, string>()
  const queue = [workspace]
  for (let folder = queue.pop(); folder !== undefined; folder = queue.pop()) {
    const manifest = manifestIn(path.join(root, folder))
    for (const [name, isOptional] of needsOf(manifest)) {
      const found = resolve(root, folder, name)
      if (found === null) {
        if (isOptional) continue
        throw new Error(`${manifest.name} needs ${name}, which is not installed: run npm ci`)
      }
      const isLink = lstatSync(path.join(root, found)).isSymbolicLink()
      const target = isLink ? path.relative(root, realpathSync(path.join(root, found))) : found
      if (isLink) links.set(found, target)
      const known = isLink ? workspaces : packages
      if (known.has(target)) continue
      known.add(target)
      queue.push(target)
    }
  }
  return { workspaces: [...workspaces].sort(), packages: [...packages].sort(), links }
}

export function manifestIn(folder: string): Manifest & { readonly version: string } {
  return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
}

/** Names with whether they may be missing: optional ones are those of other platforms. */
function needsOf(manifest: Manifest): Map<string, boolean> {
  const { dependencies = {}, optionalDependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} } = manifest
  return new Map([
    ...Object.keys(peerDependencies).map((name) => [name, peerDependenciesMeta[name]?.optional === true] as const),
    ...Object.keys(dependencies).map((name) => [name, false] as const),
    ...Object.keys(optionalDependencies).map((name) => [name, true] as const),
  ])
}

function resolve(root: string, from: string, name: string): string | null {
  for (let folder = from; ; folder = path.dirname(folder)) {
    const candidate = path.join(folder === '.' ? '' : folder, 'node_modules', name)
    if (path.basename(folder) !== 'node_modules' && existsSync(path.join(root, candidate, 'package.json')))
      return candidate
    if (folder === '.') return null
  }
}
