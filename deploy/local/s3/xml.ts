/** What an element holds: text, further elements, or a list of either under one name. */
export type XmlValue =
  | string
  | number
  | boolean
  | { readonly [name: string]: XmlValue | readonly XmlValue[] | undefined }

function escape(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return text.replace(/[&<>"]/g, (c) => entities[c]!).replace(/[\r\n\t]/g, (c) => `&#${c.charCodeAt(0)};`)
}

function element(name: string, value: XmlValue | readonly XmlValue[] | undefined): string {
  if (value === undefined) return ''
  if (Array.isArray(value)) return value.map((entry: XmlValue) => element(name, entry)).join('')
  if (typeof value === 'object')
    return `<${name}>${Object.entries(value)
      .map(([child, inner]) => element(child, inner))
      .join('')}</${name}>`
  return `<${name}>${escape(String(value))}</${name}>`
}

export function xml(root: string, value: XmlValue): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element(root, value)}`
}

/** The texts of every `<name>` inside, in order: enough for the two small documents that clients send. */
export function textsOf(document: string, name: string): string[] {
  const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
  return [...document.matchAll(new RegExp(`<${name}>([^]*?)</${name}>`, 'g'))].map((match) =>
    match[1]!.replace(/&(#x?[0-9a-f]+|\w+);/gi, (whole, entity: string) =>
      entity.startsWith('#')
        ? String.fromCodePoint(Number(entity[1]!.toLowerCase() === 'x' ? `0x${entity.slice(2)}` : entity.slice(1)))
        : (entities[entity] ?? whole),
    ),
  )
}
