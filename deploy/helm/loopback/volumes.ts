import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Container, KubernetesObject } from '../chart.harness.ts'
import type { Data } from '../environment.harness.ts'

interface Mount {
  readonly name: string
  readonly mountPath: string
}

/** What a container mounts, in a folder of this machine rather than at its root. */
export class Volumes {
  readonly #root: string
  readonly #paths: readonly string[]

  /** Makes the folders, with the files of secrets and config maps. */
  constructor(root: string, pod: KubernetesObject, container: Container, data: { secrets: Data; configMaps: Data }) {
    this.#root = root
    const mounts = (container['volumeMounts'] ?? []) as readonly Mount[]
    this.#paths = mounts.map(({ mountPath }) => mountPath)
    for (const { name, mountPath } of mounts) {
      const folder = path.join(root, mountPath)
      mkdirSync(folder, { recursive: true })
      // What has no volume here is claimed by a StatefulSet.
      const volume = (pod['volumes'] ?? []).find((one: { name: string }) => one.name === name) ?? {}
      const { secret, configMap } = volume as { secret?: KubernetesObject; configMap?: KubernetesObject }
      const files = secret ? data.secrets[secret['secretName']] : configMap ? data.configMaps[configMap['name']] : {}
      if (files === undefined) throw new Error(`there is nothing to mount as ${name}`)
      const items = (secret ?? configMap)?.['items'] as readonly { key: string; path: string }[] | undefined
      const wanted = items ?? Object.keys(files).map((key) => ({ key, path: key }))
      for (const item of wanted) writeFileSync(path.join(folder, item.path), files[item.key]!, { mode: 0o440 })
    }
  }

  /** A path of the container on this machine; text that is none as it is. */
  pathOf(text: string): string {
    return this.#paths.some((mount) => text === mount || text.startsWith(`${mount}/`))
      ? path.join(this.#root, text)
      : text
  }

  /** A file's text with every path of the container in it. */
  movedIn(text: string): string {
    const known = new RegExp(`(?<![\\w/.-])(?:${this.#paths.join('|')})(?![\\w-])`, 'g')
    return text.replaceAll(known, (mount) => path.join(this.#root, mount))
  }
}
