import { Compile } from 'typebox/compile'
import type { TObject, TSchema } from 'typebox'
import { Check } from 'typebox/value'
import { wanted } from './item-schema.ts'
import type { ItemInput } from './item-schema.ts'
import { shown, suggestion } from '../field-problems.ts'
import type { Problem } from '@darkroom/chassis'

/** Checks a value's shape against a schema: one compiled expression where all is well, sentences where not. */
export class ShapeCheck {
  readonly #schema: TObject
  readonly #compiled: { Check(value: unknown): boolean }
  readonly #names: readonly string[]

  constructor(schema: TObject) {
    this.#schema = schema
    this.#compiled = Compile(schema)
    this.#names = Object.keys(schema.properties)
  }

  passes(value: unknown): value is ItemInput {
    return this.#compiled.Check(value)
  }

  /** What is wrong with a value that did not pass. */
  problemsOf(value: unknown): readonly Problem[] {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return [{ value: shown(value), message: 'want a JSON object such as {"prompt": "a red apple"}' }]
    }
    const properties = this.#schema.properties as Readonly<Record<string, TSchema>>
    return Object.entries(value).flatMap(([field, given]: [string, unknown]) => {
      if (!Object.hasOwn(properties, field)) {
        const hint = suggestion(field, this.#names) || ` (known: ${this.#names.join(', ')})`
        return [{ field: shortened(field), value: shown(given), message: `unknown field${hint}` }]
      }
      const schema = properties[field]!
      if (Check(schema, given)) return []
      const { enum: values = [] } = schema as { enum?: readonly string[] }
      const hint = typeof given === 'string' ? suggestion(given, values) : ''
      return [{ field, value: shown(given), message: `want ${wanted(schema)}${hint}` }]
    })
  }
}

function shortened(field: string): string {
  return String(shown(field))
}
