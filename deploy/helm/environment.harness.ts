import { NAMESPACE } from './chart.harness.ts'
import type { Container, KubernetesObject } from './chart.harness.ts'

/** What the kubelet would put into the environment of a container. */
export function environmentOf(
  container: Container,
  {
    podName,
    podIp = '127.0.0.1',
    secrets = {},
  }: { podName: string; podIp?: string; secrets?: Readonly<Record<string, Readonly<Record<string, string>>>> },
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
  return Object.fromEntries((container['env'] ?? []).map((entry: KubernetesObject) => [entry['name'], valueOf(entry)]))
}
