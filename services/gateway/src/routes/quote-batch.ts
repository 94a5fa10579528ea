import { Type } from 'typebox'
import type { TSchema } from 'typebox'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'
import { Intake } from '../ingest/intake.ts'
import { QuotedLines } from '../ingest/quoted-lines.ts'
import { createSubmissionReader, queryDefaultsSchema, submissionBody } from '../ingest/submission.ts'

const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

const quoteSchema = Type.Object({
  items: Type.Integer(),
  images: Type.Integer(),
  deviceSeconds: Type.Number({ description: 'Of all devices together.' }),
  workers: Type.Integer({ description: 'That are given work now.' }),
  secondsAlone: orNull(Type.Number({ description: 'Until its end with these workers for itself; null without any.' })),
  secondsBehindAll: orNull(Type.Number({ description: 'The same with all that waits now before it.' })),
  isMeasured: Type.Boolean({
    description: 'Whether the farm has rendered with each of its checkpoints lately: else it is a guess.',
  }),
  price: orNull(
    Type.Number({ description: "In the operator's currency; null where no price of a device second is set." }),
  ),
})

export function quoteBatch(app: App, context: GatewayContext): void {
  const { coordinator, intakeRules, itemProperties } = context
  const readSubmission = createSubmissionReader(context)
  app.route({
    method: 'POST',
    url: '/api/v1/quote',
    schema: {
      operationId: 'quoteBatch',
      summary: 'What a batch would cost and take',
      description:
        'Takes what POST /api/v1/batches takes, refuses what it refuses, and submits nothing; nothing of it is kept, pictures in data URLs neither. The estimate follows what was measured.',
      tags: ['batches'],
      querystring: queryDefaultsSchema(itemProperties),
      response: { 200: quoteSchema, ...problemResponses },
    },
    config: { scope: 'read', documentedBody: submissionBody(itemProperties) },
    handler: async (request) => {
      const submission = await readSubmission(request)
      const lines = new QuotedLines()
      const intake = new Intake(intakeRules, submission.request, lines)
      await submission.read(intake)
      intake.assertSound()
      const { items, images, quoted } = lines
      const { deviceSeconds, workers, secondsAlone, secondsBehindAll, isMeasured, price } =
        await coordinator.quoteBatch({
          items: quoted,
        })
      return {
        items,
        images,
        deviceSeconds,
        workers,
        secondsAlone: secondsAlone ?? null,
        secondsBehindAll: secondsBehindAll ?? null,
        isMeasured,
        price: price ?? null,
      }
    },
  })
}
