import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import type { FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'

// ajv-formats is CommonJS, and its function is its default export's default.
const withFormats = addFormats as unknown as (ajv: Ajv) => Ajv

/** A body says what it means: a text is no number there. Queries, paths and headers are texts all, and are read as what is wanted. */
const ofBodies = withFormats(new Ajv({ useDefaults: true, allErrors: false, strict: false }))
const ofTexts = withFormats(new Ajv({ useDefaults: true, allErrors: false, strict: false, coerceTypes: 'array' }))

export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) =>
  (httpPart === 'body' ? ofBodies : ofTexts).compile(schema)
