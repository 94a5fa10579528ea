import { NAMESPACE } from './chart.harness.ts'
import type { Container, KubernetesObject } from './chart.harness.ts'

const POD_IP = '127.0.0.1'

/** What the kubelet would put into the environment of a container. */
export function environmentOf(
  container: Container,
  { podName, secrets = {} }: { podName: string; secrets?: Readonly<Record<string, Record<string, string>>> },
): Record<string, string> {
  const fields: Readonly<Record<string, string>> = {
    'metadata.name': podName,
    'metadata.namespace': NAMESPACE,
    'status.podIP': POD_IP,
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
