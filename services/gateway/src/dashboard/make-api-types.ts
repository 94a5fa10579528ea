/**
 * Writes web/src/api-types.ts from the gateway's OpenAPI document: an interface of paths, each with its methods, their query, body and
 * answer. `node services/gateway/src/dashboard/make-api-types.ts`.
 */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { startTestGateway } from '../gateway.harness.ts'

interface Schema {
  readonly type?: string | readonly string[]
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly patternProperties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: boolean | Schema
}
interface Operation {
  readonly parameters?: readonly {
    readonly in: string
    readonly name: string
    readonly required?: boolean
    readonly schema: Schema
  }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>
  >
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

export const API_TYPES = path.resolve(import.meta.dirname, '../../web/src/api-types.ts')
const JSON_TYPE = 'application/json'

function apiTypes({ paths }: Document): string {
  const native = Object.entries(paths).filter(([route]) => route.startsWith('/api/v1/'))
  const entries = native.map(
    ([route, methods]) =>
      `  '${route}': {\n${Object.entries(methods)
        .map(([method, operation]) => `    ${method}: ${operationType(operation)}`)
        .join('\n')}\n  }`,
  )
  return `// Made from the gateway's OpenAPI document: node services/gateway/src/dashboard/make-api-types.ts\nexport interface Paths {\n${entries.join('\n')}\n}\n`
}

function operationType({ parameters = [], requestBody, responses }: Operation): string {
  const query = parameters.filter((parameter) => parameter.in === 'query')
  const fields = query.map(({ name, required, schema }) => `${name}${required ? '' : '?'}: ${typeOf(schema)}`)
  const body = requestBody?.content[JSON_TYPE]?.schema
  const answer = (responses['200'] ?? responses['201'])?.content?.[JSON_TYPE]?.schema
  return `{ query: { ${fields.join('; ')} }; body: ${body === undefined ? 'undefined' : typeOf(body)}; answer: ${answer === undefined ? 'unknown' : typeOf(answer)} }`
}

function typeOf(schema: Schema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ')
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(' | ')
  switch (schema.type) {
    case 'string':
      return 'string'
    case 'integer':
    case 'number':
      return 'number'
    case 'boolean':
      return 'boolean'
    case 'null':
      return 'null'
    case 'array':
      return `(${typeOf(schema.items ?? {})})[]`
    case 'object':
      return objectType(schema)
    default:
      return 'unknown'
  }
}

function objectType({ properties = {}, required = [], patternProperties = {}, additionalProperties }: Schema): string {
  const [record] = Object.values(patternProperties)
  const values = record ?? (typeof additionalProperties === 'object' ? additionalProperties : undefined)
  const names = Object.entries(properties)
  if (names.length === 0) return values === undefined ? 'Record<string, unknown>' : `Record<string, ${typeOf(values)}>`
  const fields = names.map(([name, schema]) => `'${name}'${required.includes(name) ? '' : '?'}: ${typeOf(schema)}`)
  return `{ ${fields.join('; ')} }${additionalProperties === true ? ' & Record<string, unknown>' : ''}`
}

export async function currentApiTypes(): Promise<string> {
  await using gateway = await startTestGateway()
  return apiTypes((await (await fetch(`${gateway.url}/openapi.json`)).json()) as Document)
}

if (import.meta.main) writeFileSync(API_TYPES, await currentApiTypes())
