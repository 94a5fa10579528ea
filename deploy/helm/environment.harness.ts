import { NAMESPACE } from './chart.harness.ts'
import type { Container, KubernetesObject } from './chart.harness.ts'

/** Data of secrets or of config maps by their names. */
export type Data = Readonly<Record<string, Readonly<Record<string, string>>>>

/** What the kubelet would put into the environment of a container. */
export function environmentOf(
  container: Container,
  { podName, podIp = '127.0.0.1', secrets = {} }: { podName: string; podIp?: string; secrets?: Data },
): Record<string, string> {
  const fields: Readonly<Record<string, string>> = {
    'metadata.name': podName,
    'metadata.namespace': NAMESPACE,
    'status.podIP': podIp,
  }
  const valueOf = ({ name, value, valueFrom }: KubernetesObject): string => {
    if (valueFrom === undefined) return value
    const { fieldRef, secretKeyRef } = valueFrom
    const found = fieldRef === undefined ? secrets[secretKeyRef.name]?.[secretKeyRef.key] : fields[fieldRef.fieldPath]
    if (found === undefined) throw new Error(`nothing gives ${String(name)} a value`)
    return found
  }
  const environment: Record<string, string> = {}
  for (const entry of (container['env'] ?? []) as readonly KubernetesObject[])
    environment[entry['name']] = valueOf(entry).replaceAll(/\$\((\w+)\)/g, (text, name) => environment[name] ?? text)
  return environment
}

/** What the chart's own secrets or config maps hold. */
export function dataOf(objects: readonly KubernetesObject[], kind: 'ConfigMap' | 'Secret'): Data {
  const text = (value: string): string => (kind === 'Secret' ? Buffer.from(value, 'base64').toString() : value)
  return Object.fromEntries(
    objects
      .filter((object) => object.kind === kind)
      .map(({ metadata, data }) => [
        metadata.name,
        Object.fromEntries(Object.entries(data as Record<string, string>).map(([key, value]) => [key, text(value)])),
      ]),
  )
}
