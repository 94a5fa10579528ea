import { dayOf, LedgerGrouping } from '@darkroom/proto'
import type { FarmTime, LedgerLine } from '@darkroom/proto'
import { Type } from 'typebox'
import type { Static, TSchema } from 'typebox'
import { callerOf, isAllowed } from '../auth/caller.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'

const DAY_MS = 86_400_000
/** What is answered where no day is given, today among them. */
const DEFAULT_DAYS = 30

const GROUPINGS = {
  tenant: LedgerGrouping.TENANT,
  checkpoint: LedgerGrouping.CHECKPOINT,
  scheduler: LedgerGrouping.SCHEDULER,
  batch: LedgerGrouping.BATCH,
} as const

const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])
const day = (description: string) => Type.Optional(Type.String({ format: 'date', description }))
const by = Type.Enum(Object.keys(GROUPINGS) as (keyof typeof GROUPINGS)[])

const sum = {
  deviceSeconds: Type.Number({
    description: 'Of items that ended, failed ones too: attempts that were lost are not charged.',
  }),
  images: Type.Integer(),
  steps: Type.Integer({ description: 'Model calls that were made for the images.' }),
  retries: orNull(
    Type.Integer({
      description:
        'Attempts that failed, or were lost with a worker, and were followed by others; null by scheduler, as a shard may have several.',
    }),
  ),
  loadSeconds: orNull(
    Type.Number({
      description: 'That workers loaded checkpoints for the shards, not in the price; null by scheduler.',
    }),
  ),
  failedSeconds: orNull(
    Type.Number({ description: 'Of the device seconds, those of items and images that failed; null by scheduler.' }),
  ),
  price: orNull(
    Type.Number({ description: "In the operator's currency; null where no price of a device second is set." }),
  ),
}

const farmSchema = Type.Object({
  wallSeconds: Type.Number({ description: 'Of all devices, as far as their workers told: renders, loads and idles.' }),
  renderSeconds: Type.Number({ description: 'In which they computed: billed and unbilled.' }),
  loadSeconds: Type.Number({
    description: 'In which they did not, and a checkpoint was being fetched or loaded.',
  }),
  idleSeconds: Type.Number(),
  billedSeconds: Type.Number({ description: 'The deviceSeconds of the total.' }),
  unbilledSeconds: Type.Number({
    description:
      'Attempts that were lost, handed back or hedged, audits, prompts, previews, safety checks, and batches that have not ended. Below zero where what was committed on these days was rendered before them.',
  }),
})

const sumSchema = Type.Object(sum)
const lineSchema = Type.Object({
  name: Type.String({ description: 'Of the tenant, checkpoint (its pin), scheduler or batch.' }),
  ...sum,
})

export function getLedger(app: App, { coordinator }: GatewayContext): void {
  app.route({
    method: 'GET',
    url: '/api/v1/ledger',
    config: { scope: 'read' },
    schema: {
      operationId: 'getLedger',
      summary: 'What ended batches used, and its price',
      description:
        'A batch is booked when it ends, on the days (UTC) that its work was committed on. The most device seconds first. A tenant is shown its own, an admin everybody’s.',
      tags: ['farm'],
      querystring: Type.Object(
        {
          from: day(`The first day; without it, ${DEFAULT_DAYS} days are told of.`),
          to: day('The last day; without it, today.'),
          by: Type.Optional({ ...by, default: 'tenant' }),
        },
        { additionalProperties: false },
      ),
      response: {
        200: Type.Object({
          from: Type.String({ format: 'date' }),
          to: Type.String({ format: 'date' }),
          by,
          lines: Type.Array(lineSchema),
          total: sumSchema,
          farm: Type.Union([farmSchema, Type.Null()], {
            description: 'What became of the time of all devices; null for who is no admin.',
          }),
        }),
        ...problemResponses,
      },
    },
    handler: async (request) => {
      const { by: grouping = 'tenant', to = dayOf(new Date()) } = request.query
      const { from = dayOf(new Date(Date.parse(to) - (DEFAULT_DAYS - 1) * DAY_MS)) } = request.query
      const caller = callerOf(request)
      const tenant = isAllowed(caller, 'admin') ? '' : caller.tenant
      const { lines, total, farm } = await coordinator.getLedger({ from, to, by: GROUPINGS[grouping], tenant })
      return {
        from,
        to,
        by: grouping,
        lines: lines.map((line) => ({ name: line.name, ...sumJson(line) })),
        total: sumJson(total!),
        farm: farm === undefined ? null : farmJson(farm),
      }
    },
  })
}

function sumJson(line: LedgerLine): Static<typeof sumSchema> {
  const { deviceSeconds, images, steps, retries, loadSeconds, failedSeconds, price } = line
  return {
    deviceSeconds,
    images: Number(images),
    steps: Number(steps),
    retries: retries === undefined ? null : Number(retries),
    loadSeconds: loadSeconds ?? null,
    failedSeconds: failedSeconds ?? null,
    price: price ?? null,
  }
}

function farmJson({ $typeName: _type, $unknown: _unknown, ...time }: FarmTime): Static<typeof farmSchema> {
  return time
}
