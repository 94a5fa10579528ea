import { ObjectStore } from '@darkroom/chassis'
import { randomUUID } from 'node:crypto'
import { fastify } from 'fastify'

// A process of its own, for the benchmark of the gateway: a Fastify route that answers what it was told, and one that first
// stores what it is sent in two objects, as a batch is its items and its document. Prints its port.
const answer = process.argv[2] ?? '{}'
const { env } = process
using store = ObjectStore.open({
  endpoint: env['DARKROOM_S3_ENDPOINT'] ?? null,
  region: 'us-east-1',
  bucket: env['DARKROOM_S3_BUCKET']!,
  forcePathStyle: true,
  accessKeyId: env['DARKROOM_S3_ACCESS_KEY_ID']!,
  secretAccessKey: env['DARKROOM_S3_SECRET_ACCESS_KEY']!,
})
const app = fastify({ logger: false })
app.get('/', async (_request, reply) => reply.type('application/json').send(answer))
app.post('/', async (_request, reply) => reply.type('application/json').send(answer))
app.post('/stored', async ({ body }, reply) => {
  const id = randomUUID()
  for (const part of ['items', 'document']) await store.put(`bare/${id}/${part}`, JSON.stringify(body))
  return reply.type('application/json').send(answer)
})
await app.listen({ host: '127.0.0.1', port: 0 })
console.log((app.server.address() as { port: number }).port)
process.stdin.resume().once('end', () => process.exit())
