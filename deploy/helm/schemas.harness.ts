import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import type { KubernetesObject } from './chart.harness.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')

/** Where the types and validators of an API group are, for those that are not Kubernetes' own. */
const PACKAGES: Readonly<Record<string, string>> = {
  'cert-manager.io': '@kubernetes-models/cert-manager',
  'gateway.networking.k8s.io': '@kubernetes-models/gateway-api',
  'keda.sh': '@kubernetes-models/keda',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
}

function moduleOf({ apiVersion, kind }: KubernetesObject): string {
  const group = apiVersion.split('/')[0]!
  return `${PACKAGES[group] ?? 'kubernetes-models'}/${apiVersion}/${kind}`
}

interface Validated {
  validate(): void
}

/** @throws Error where the object is not what the OpenAPI documents of its API say */
export async function assertValid(object: KubernetesObject): Promise<void> {
  const models = (await import(moduleOf(object))) as Record<string, new (data: KubernetesObject) => Validated>
  new models[object.kind]!(object).validate()
}

/**
 * The validators let unknown fields pass, as an API server does that is not asked to be strict. The types do not: every object
 * is written as a literal and compiled.
 * @returns what the compiler has to say, empty where all is well
 */
export async function unknownFieldsIn(objects: readonly KubernetesObject[]): Promise<string> {
  mkdirSync(path.join(ROOT, '.cache'), { recursive: true })
  // Inside the repository, since there the packages are found.
  const folder = mkdtempSync(path.join(ROOT, '.cache', 'literals-'))
  try {
    const lines = objects.flatMap((object, index) => [
      `import type { I${object.kind} as Type${index} } from '${moduleOf(object)}'`,
      `export const object${index}: Type${index} = ${JSON.stringify(object, null, 1)}`,
    ])
    writeFileSync(path.join(folder, 'objects.ts'), lines.join('\n'))
    const compilerOptions = {
      module: 'NodeNext',
      target: 'ES2024',
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      types: [],
    }
    writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['objects.ts'] }))
    await promisify(execFile)(path.join(ROOT, 'node_modules', '.bin', 'tsc'), ['-p', folder], { cwd: folder })
    return ''
  } catch (reason) {
    return (reason as { stdout?: string }).stdout || String(reason)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
