import { Type } from 'typebox'
import { DarkroomError } from '@darkroom/chassis'
import { shown } from '../field-problems.ts'
import { ShapeCheck } from '../ingest/check-item.ts'
import type { Intake } from '../ingest/intake.ts'
import type { LineTaker } from '../ingest/read-ndjson.ts'
import { Base64Items } from './base64-items.ts'
import type { BatchEndpoint } from './documents.ts'
import type { WireItems } from './wire-item.ts'
import type { EditPictures } from './edit-pictures.ts'

interface BatchLine {
  readonly custom_id: string
  readonly method: string
  readonly url: string
  readonly body: Readonly<Record<string, unknown>>
}

const lineCheck = new ShapeCheck(
  Type.Object(
    {
      custom_id: Type.String({ minLength: 1, maxLength: 128 }),
      method: Type.Literal('POST'),
      url: Type.String(),
      body: Type.Record(Type.String(), Type.Unknown()),
    },
    { additionalProperties: false },
  ),
)

/** Makes items of the lines of an OpenAI batch file, and hands them on to an intake. */
export class BatchLines implements LineTaker {
  readonly #intake: Intake
  readonly #endpoint: BatchEndpoint
  readonly #wireItems: WireItems
  readonly #pictures: EditPictures
  /** Those that were added and ask for it. */
  readonly base64Items = new Base64Items()

  constructor(intake: Intake, endpoint: BatchEndpoint, wireItems: WireItems, pictures: EditPictures) {
    this.#intake = intake
    this.#endpoint = endpoint
    this.#wireItems = wireItems
    this.#pictures = pictures
  }

  get problems(): Intake['problems'] {
    return this.#intake.problems
  }

  add(value: unknown, line: number): Promise<void> | undefined {
    if (!lineCheck.passes(value)) {
      const given = lineCheck.problemsOf(value)
      const missing = ['custom_id', 'method', 'url', 'body'].filter((field) => !Object.hasOwn(Object(value), field))
      const problems = given.length > 0 ? given : missing.map((field) => ({ field, message: 'is required' }))
      for (const problem of problems) this.problems.add({ line, ...problem })
      return undefined
    }
    const { custom_id: customId, url, body } = value as unknown as BatchLine
    if (url !== this.#endpoint) {
      const message = `the batch is for ${this.#endpoint}: want that in every line`
      this.problems.add({ line, field: 'url', value: shown(url), message })
      return undefined
    }
    const { response_format: format } = body
    if (format !== undefined && format !== null && format !== 'url' && format !== 'b64_json') {
      const message = "want 'url', or 'b64_json' for the pictures themselves in the output file"
      this.problems.add({ line, field: 'body.response_format', value: shown(format), message })
      return undefined
    }
    return this.#pictures.isNamedBy(body) ? this.#resolve(customId, body, line) : this.#take(customId, body, line)
  }

  async #resolve(customId: string, body: BatchLine['body'], line: number): Promise<void> {
    try {
      await this.#take(customId, await this.#pictures.resolve(body), line)
    } catch (reason) {
      const { code, problems } = DarkroomError.from(reason)
      if (code !== 'INVALID_REQUEST') throw reason
      for (const problem of problems) this.problems.add({ line, ...problem, field: `body.${problem.field}` })
    }
  }

  #take(customId: string, body: BatchLine['body'], line: number): Promise<void> | undefined {
    const { item, problems } = this.#wireItems.itemOf(body, this.#endpoint)
    for (const problem of problems) this.problems.add({ line, ...problem, field: `body.${problem.field}` })
    if (body['response_format'] === 'b64_json') this.base64Items.add(this.#intake.itemCount)
    return this.#intake.add({ ...item, customId }, line)
  }
}
