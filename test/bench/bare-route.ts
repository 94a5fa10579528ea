import { fastify } from 'fastify'

// A process of its own: a Fastify route that answers what it was told, for the benchmark of the gateway. Prints its port.
const answer = process.argv[2] ?? '{}'
const app = fastify({ logger: false })
app.get('/', async (_request, reply) => reply.type('application/json').send(answer))
app.post('/', async (_request, reply) => reply.type('application/json').send(answer))
await app.listen({ host: '127.0.0.1', port: 0 })
console.log((app.server.address() as { port: number }).port)
process.stdin.resume().once('end', () => process.exit())
