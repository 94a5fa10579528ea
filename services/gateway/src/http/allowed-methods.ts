import type { RouteOptions } from 'fastify'

/** Knows which methods a path has, so that another one is told so instead of that nothing is there. */
export class AllowedMethods {
  readonly #routes: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = []

  add({ url, method }: Pick<RouteOptions, 'url' | 'method'>): void {
    const segments = url.split('/').map((segment) => (segment.startsWith(':') ? '[^/]+' : escaped(segment)))
    this.#routes.push({ pattern: new RegExp(`^${segments.join('/')}$`), methods: [method].flat() })
  }

  /** Empty where no route has the path. */
  of(url: string): readonly string[] {
    const path = url.split('?')[0]!
    return this.#routes.flatMap(({ pattern, methods }) => (pattern.test(path) ? methods : []))
  }
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}
