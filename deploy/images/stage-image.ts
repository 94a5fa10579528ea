import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, globSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { closureOf, manifestIn } from './package-closure.ts'
import type { Closure } from './package-closure.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')

export const IMAGES = ['gateway', 'coordinator', 'worker-cpu', 'worker-cuda'] as const
export type ImageName = (typeof IMAGES)[number]

/** What of a workspace runs. */
const RUNS = ['package.json', 'src', 'gen', 'web/dist']
const NOT_RUN = /\.(test|harness|suite)\.ts$/
/** What packages bring that only compilers and debuggers read. */
const NOT_LOADED = /\.(map|d\.[cm]?ts)$/
const CUDA_PROVIDERS = /libonnxruntime_providers_/

export function workspaceOf(image: ImageName): string {
  return path.join('services', image.replace(/-(cpu|cuda)$/, ''))
}

/**
 * Lays out all that an image has over its base: /app with the sources of a service and of what it imports, its packages and their
 * bill of materials, and this very Node as /usr/bin/node. The folder is made anew.
 */
export function stageImage(image: ImageName, target: string): Closure {
  rmSync(target, { recursive: true, force: true })
  const app = path.join(target, 'app')
  const closure = closureOf(ROOT, workspaceOf(image))
  for (const workspace of closure.workspaces)
    for (const part of RUNS) copy(path.join(workspace, part), app, (file) => !NOT_RUN.test(file))
  for (const folder of closure.packages)
    copy(folder, app, (file) => isLoaded(path.relative(path.join(ROOT, folder), file), image))
  for (const [link, workspace] of closure.links) {
    mkdirSync(path.dirname(path.join(app, link)), { recursive: true })
    symlinkSync(path.relative(path.dirname(link), workspace), path.join(app, link))
  }
  cpSync(path.join(ROOT, 'LICENSE'), path.join(app, 'LICENSE'))
  writeFileSync(path.join(app, 'sbom.cdx.json'), billOfMaterials(image, closure))
  const node = path.join(target, 'usr', 'bin', 'node')
  mkdirSync(path.dirname(node), { recursive: true })
  cpSync(process.execPath, node)
  chmodSync(node, 0o755)
  return closure
}

function copy(from: string, app: string, filter: (file: string) => boolean): void {
  const source = path.join(ROOT, from)
  if (existsSync(source)) cpSync(source, path.join(app, from), { recursive: true, filter })
}

/** @param file relative to its package, '' for the package itself */
function isLoaded(file: string, image: ImageName): boolean {
  // What is installed inside a package is a package of its own.
  if (file === 'node_modules' || NOT_LOADED.test(file)) return false
  const [, system, architecture] = /^bin\/napi-v\d+\/([^/]+)(?:\/([^/]+))?/.exec(file) ?? []
  if (system === undefined) return true
  // onnxruntime-node brings its binaries for all systems.
  if (system !== process.platform || (architecture !== undefined && architecture !== process.arch)) return false
  return image === 'worker-cuda' || !CUDA_PROVIDERS.test(file)
}

interface Component {
  readonly 'bom-ref': string
  readonly name: string
  readonly version: string
}

/**
 * CycloneDX, by npm from the lockfile. npm's `--omit=dev` would leave out what one workspace needs to run and another to be
 * tested, sharp among it; so all are asked for, and those that are in the image are kept.
 * @throws Error where npm does not know a package that is
 */
function billOfMaterials(image: ImageName, { packages }: Closure): string {
  const options = ['sbom', '--package-lock-only', '--sbom-format=cyclonedx']
  const json = execFileSync('npm', options, { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 * 2 ** 20 })
  const bill = JSON.parse(json) as {
    metadata: { component: object }
    components: Component[]
    dependencies: { ref: string; dependsOn: string[] }[]
  }
  const present = new Set(packages.map((folder) => identityOf(manifestIn(path.join(ROOT, folder)))))
  bill.components = bill.components.filter((component) => present.has(identityOf(component)))
  const known = new Set(bill.components.map(identityOf))
  const missing = [...present].filter((identity) => !known.has(identity))
  if (missing.length > 0) throw new Error(`npm sbom does not list ${missing.join(', ')}`)
  const refs = new Set(bill.components.map((component) => component['bom-ref']))
  bill.dependencies = bill.dependencies
    .filter(({ ref }) => refs.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => refs.has(one)) }))
  // npm names it after the folder that the repository lies in.
  bill.metadata.component = { ...bill.metadata.component, name: `darkroom-${image}`, type: 'application' }
  return `${JSON.stringify(bill, null, 1)}\n`
}

function identityOf({ name, version }: { readonly name: string; readonly version: string }): string {
  return `${name}@${version}`
}

/** Files of an image that the dynamic loader loads. */
export function binariesIn(target: string): readonly string[] {
  return ['usr/bin/node', ...globSync('app/**/*.{node,so,so.*}', { cwd: target })].map((file) =>
    path.join(target, file),
  )
}
