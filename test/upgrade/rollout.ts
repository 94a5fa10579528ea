import type { LoopbackCluster, Pod, Service, Workload } from '@darkroom/helm/loopback'

/** How a pod ended. */
export interface End {
  readonly pod: string
  readonly seconds: number
  readonly wasKilled: boolean
}

/** Replaces pods as the controllers of Kubernetes do, by what the chart says of each workload. */
export class Rollout {
  readonly ends: End[] = []
  readonly #cluster: LoopbackCluster
  readonly #gateways: Service
  readonly #onEnd: (pod: Pod) => void
  #count = 0

  /** @param onEnd called when a pod is told to end */
  constructor(cluster: LoopbackCluster, gateways: Service, onEnd: (pod: Pod) => void) {
    this.#cluster = cluster
    this.#gateways = gateways
    this.#onEnd = onEnd
  }

  /** All pods of a workload at once, as when it is installed. */
  async install(role: string): Promise<void> {
    const workload = this.#cluster.workload(role)
    const { kind, metadata, spec } = workload.object
    const names = Array.from({ length: spec.replicas }, (_, ordinal) =>
      kind === 'StatefulSet' ? `${metadata.name}-${ordinal}` : this.#newName(workload),
    )
    await Promise.all(names.map((name) => this.#begin(workload, name)))
  }

  /** Replaces every pod of a workload. */
  async upgrade(role: string): Promise<void> {
    const workload = this.#cluster.workload(role)
    const old = this.#cluster.pods(role)
    await (workload.object.kind === 'StatefulSet' ? this.#upgradeInOrder(old) : this.#upgradeSome(workload, old))
  }

  /** A StatefulSet: from the last to the first, each under its name again before the next. */
  async #upgradeInOrder(old: readonly Pod[]): Promise<void> {
    for (const pod of old.toSorted((a, b) => b.name.localeCompare(a.name))) {
      await this.#end(pod)
      await this.#begin(pod.workload, pod.name)
    }
  }

  /**
   * A Deployment: as many at a time as it may have too many or too few. Without a surge the new pod waits until its device is
   * free, which it is once the old one has ended; with one, the old pods end in their own time.
   */
  async #upgradeSome(workload: Workload, old: readonly Pod[]): Promise<void> {
    const { replicas, strategy } = workload.object['spec']
    const { surge, unavailable } = limitsOf(strategy.rollingUpdate, replicas)
    const ending: Promise<void>[] = []
    const replace = async (pod: Pod): Promise<void> => {
      if (surge === 0) await this.#end(pod)
      await this.#begin(workload, this.#newName(workload))
      if (surge > 0) ending.push(this.#end(pod))
    }
    for (let from = 0; from < old.length; from += surge + unavailable)
      await Promise.all(old.slice(from, from + surge + unavailable).map(replace))
    await Promise.all(ending)
  }

  #newName({ object }: Workload): string {
    return `${object.metadata.name}-${++this.#count}`
  }

  async #begin(workload: Workload, name: string): Promise<void> {
    const pod = await this.#cluster.startPod(workload, name)
    if (pod.role === 'gateway') this.#gateways.add(pod.ip)
  }

  async #end(pod: Pod): Promise<void> {
    this.#gateways.remove(pod.ip)
    this.#onEnd(pod)
    this.ends.push({ pod: pod.name, ...(await this.#cluster.endPod(pod)) })
  }
}

/** Of a share of the pods Kubernetes rounds a surge up and what may be missing down; where both are none, one may be missing. */
function limitsOf(
  { maxSurge, maxUnavailable }: { maxSurge: number | string; maxUnavailable: number | string },
  replicas: number,
): { surge: number; unavailable: number } {
  const pods = (limit: number | string): number =>
    typeof limit === 'number' ? limit : (Number.parseInt(limit, 10) / 100) * replicas
  const surge = Math.ceil(pods(maxSurge))
  const unavailable = Math.floor(pods(maxUnavailable))
  return { surge, unavailable: surge + unavailable === 0 ? 1 : unavailable }
}
