import { execFile, execFileSync } from 'node:child_process'
import { globSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import { CHART } from './chart-files.ts'
import { installHelm } from './install-helm.ts'

/** A rendered object, as loosely as YAML has it: the schemas of Kubernetes are held by objects.test.ts. */
// oxlint-disable-next-line typescript/no-explicit-any
export type KubernetesObject = { apiVersion: string; kind: string; metadata: any; [field: string]: any }
export type Container = KubernetesObject

/** The values that the chart is checked with, by name: cpu-only, single-gpu, … */
export const CI_VALUES: Readonly<Record<string, string>> = Object.fromEntries(
  globSync('ci/*-values.yaml', { cwd: CHART })
    .sort()
    .map((file) => [path.basename(file, '-values.yaml'), path.join(CHART, file)]),
)

export const NAMESPACE = 'render'

/** Runs helm; rejects with what it says. */
export async function helm(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(installHelm(), args, { maxBuffer: 64 * 2 ** 20 })
  return stdout
}

/** What `helm install farm` would create, by options of helm's command line. */
export function renderText(...options: readonly string[]): Promise<string> {
  return helm('template', 'farm', CHART, '--namespace', NAMESPACE, ...options)
}

export async function render(...options: readonly string[]): Promise<readonly KubernetesObject[]> {
  return objectsIn(await renderText(...options))
}

/** Every object of one of the CI values; rendered once for a test file. */
export function renderCi(name: string): readonly KubernetesObject[] {
  const kept = rendered.get(name)
  if (kept !== undefined) return kept
  const args = ['template', 'farm', CHART, '--namespace', NAMESPACE, '--values', CI_VALUES[name]!]
  const objects = objectsIn(execFileSync(installHelm(), args, { encoding: 'utf8', maxBuffer: 64 * 2 ** 20 }))
  rendered.set(name, objects)
  return objects
}

const rendered = new Map<string, readonly KubernetesObject[]>()

function objectsIn(text: string): readonly KubernetesObject[] {
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors.length > 0) throw document.errors[0]!
    const value = document.toJS() as KubernetesObject | null
    return value === null ? [] : [value]
  })
}

/** Deployments, StatefulSets and bare Pods: whatever runs containers, with the metadata and spec of its pods. */
export function workloadsOf(objects: readonly KubernetesObject[]) {
  return objects.flatMap((object) => {
    const template = object.kind === 'Pod' ? object : object['spec']?.template
    if (template?.spec?.containers === undefined) return []
    const { labels, annotations } = template.metadata
    return [{ object, labels, annotations, pod: template.spec, container: template.spec.containers[0] as Container }]
  })
}

/** The one object of a kind whose name ends so. */
export function theOne(objects: readonly KubernetesObject[], kind: string, suffix: string): KubernetesObject {
  const found = objects.filter((object) => object.kind === kind && object.metadata.name.endsWith(suffix))
  if (found.length !== 1) throw new Error(`${found.length} objects of kind ${kind} end in '${suffix}'`)
  return found[0]!
}
