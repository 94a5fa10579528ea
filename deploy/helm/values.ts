import { isMap, isScalar, parseDocument } from 'yaml'
import type { YAMLMap } from 'yaml'

/** One value of values.yaml, with the text of its `# --` comment. */
export interface ChartValue {
  readonly path: string
  readonly describe: string
  readonly fallback: unknown
}

/** Every value of a values.yaml, in its order. @throws Error where one has no text */
export function valuesOf(yaml: string): readonly ChartValue[] {
  const document = parseDocument(yaml)
  const values: ChartValue[] = []
  const walk = (map: YAMLMap, parents: readonly string[]): void => {
    for (const [index, { key, value }] of map.items.entries()) {
      if (!isScalar(key)) throw new TypeError('a key of values.yaml is no text')
      const names = [...parents, String(key.value)]
      // The comment of a map's first key is attached to the map.
      const comment = key.commentBefore ?? (index === 0 ? map.commentBefore : null) ?? ''
      const describe = /(?:^|\n) -- ([^]*)$/.exec(comment)?.[1]?.replaceAll('\n', '').trim()
      if (describe !== undefined) {
        const fallback: unknown = document.getIn(names, false)
        values.push({
          path: names.join('.'),
          describe,
          fallback: isMap(value) || typeof fallback === 'object' ? (value as YAMLMap).toJS(document) : fallback,
        })
      } else if (isMap(value)) walk(value, names)
      else throw new Error(`values.yaml: ${names.join('.')} has no text`)
    }
  }
  walk(document.contents as YAMLMap, [])
  return values
}
