import { GatewayClient } from '@darkroom/cli'
import { Farm } from '@darkroom/local'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, get, request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { BenchResult } from './main.ts'
import { rssMiBOf } from './processes.ts'
import { quantile, ratioSummary, round } from './statistics.ts'

/**
 * The gateway over a bare Fastify route that answers the same bytes, each in a process of its own, asked by one client process
 * over 64 connections; no worker is there. `ratio`: how a batch stands; `submitRatio`: a batch of one item, stored and told to the
 * coordinator before it is answered; `submitOverStoredRatio`: the same over a bare route that first puts two objects into the same
 * store. Then a file of 200 MB, a thousand clients that follow one batch, and how long status takes while a hundred thousand prompts
 * come in.
 *
 * Predicted: status 0.3 to 0.5, as each asks the coordinator by gRPC, which shares the machine's two cores; submit below 0.05, as
 * it waits for two writes with fsync. Outcome (2 cores, 2026-11-26, 16 connections): status 0.12 to 0.17; submit 0.005, 76 to 100 a
 * second; a thousand clients were told within 0.6 to 1.2 s; status under ingest took 180 to 255 ms at the 99th percentile, as client,
 * gateway, coordinator and S3 server share two cores; the file grew the gateway by 51 to 93 MiB.
 *
 * The profile of status: a third in gRPC and HTTP/2, a tenth in garbage, a sixth idle. So whoever asks while an answer is on its way
 * shares the next one (`SharedCalls`), predicted 0.35 to 0.5: 0.25 to 0.30, 5,000 to 6,200 a second. An answer that is kept for some
 * milliseconds would do more, and might tell what was so before a change. The upload's parts, each a new buffer of 8 MiB, were garbage
 * faster than it is collected: two that take turns, 42 to 58 MiB.
 *
 * 2026-11-27: with 64 connections 7,700 to 9,500 statuses a second, 0.30 to 0.32: a quarter of the gateway's time it waits, a ninth
 * goes into sockets, 6 % each into garbage and its log, 5 % into hashing ETags, which those who share an answer share now. Submit was
 * 0.16 to 0.19 of the route that stores, as the coordinator asked the store ten times for each new batch. One listing tells it that
 * nothing is there yet; predicted twice as many: 160 to 170 a second instead of 58 to 100, 0.46 of the route that stores.
 *
 * Later that day a status was 0.45 to 0.50 on the idle machine. What read something and went well has no line in the log any more, since
 * a line is written at once and tells of no change. Predicted 0.50 to 0.52; measured in an hour in which the machine had half its speed,
 * one after the other: 0.38 (0.31 to 0.52) with these lines, 0.55 (0.50 to 0.67) without, 0.54 and 0.58 in two runs before.
 */
const CHECKPOINT = path.resolve(import.meta.dirname, '../../deploy/checkpoints/emoji-sd')
const CONNECTIONS = 64
const SECONDS = 3
const SUBMIT = JSON.stringify({ items: [{ checkpoint: 'emoji-sd', prompt: 'a red apple', seed: 7 }] })
const UPLOAD_BYTES = 200 * 2 ** 20
const SSE_CLIENTS = 1_000
const INGEST_PROMPTS = 100_000
const STATUS_EVERY_MS = 20

export async function run(args: readonly string[]): Promise<BenchResult> {
  const { values } = parseArgs({ args: [...args], options: { pairs: { type: 'string', default: '5' } } })
  const pairs = Number(values.pairs)
  const directory = mkdtempSync(path.join(os.tmpdir(), 'darkroom-bench-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rmSync(directory, { recursive: true, force: true }))
  const farm = stack.use(await Farm.start({ directory, workers: 0, checkpoints: [CHECKPOINT] }))
  const gateway = new GatewayClient(farm.gatewayUrl)
  const { id } = await gateway.submitJson(JSON.parse(SUBMIT) as object)
  const status = `${farm.gatewayUrl}/api/v1/batches/${id}`
  const bare = await startBare(await (await fetch(status)).text(), farm.cliEnvironment, stack)
  const submit = `${farm.gatewayUrl}/api/v1/batches`

  const [ratios, submitRatios, storedRatios, rates]: [number[], number[], number[], number[]] = [[], [], [], []]
  for (let pair = 0; pair < pairs; pair++) {
    const base = await requestsPerSecond(bare)
    const asked = await requestsPerSecond(status)
    const baseSubmit = await requestsPerSecond(bare, SUBMIT)
    const stored = await requestsPerSecond(`${bare}stored`, SUBMIT)
    const submitted = await requestsPerSecond(submit, SUBMIT)
    ratios.push(asked / base)
    submitRatios.push(submitted / baseSubmit)
    storedRatios.push(submitted / stored)
    rates.push(asked, submitted)
    console.log(
      `pair ${pair + 1}: status ${asked.toFixed(0)} of ${base.toFixed(0)}, submit ${submitted.toFixed(0)} of ${baseSubmit.toFixed(0)}, or of ${stored.toFixed(0)} that store, a second`,
    )
  }
  const uploadRssGrowthMiB = await uploadGrowth(farm)
  console.log(`a file of 200 MB: the gateway grew by ${uploadRssGrowthMiB} MiB`)
  const sse = await followers(farm, gateway)
  console.log(`${sse.clients} clients were told of the end within ${sse.toldMs} ms`)
  const statusP99Ms = await statusUnderIngest(gateway, status)
  return {
    values: {
      ...ratioSummary('ratio', ratios),
      ...ratioSummary('submitRatio', submitRatios),
      ...ratioSummary('submitOverStoredRatio', storedRatios),
      statusPerSecond: Math.round(Math.max(...rates.filter((_, i) => i % 2 === 0))),
      submitsPerSecond: Math.round(Math.max(...rates.filter((_, i) => i % 2 === 1))),
      uploadRssGrowthMiB,
      sseClients: sse.clients,
      sseToldMs: sse.toldMs,
      statusP99Ms,
    },
    baseline: 'a bare Fastify route with the same answer, in a process of its own',
    pairs,
  }
}

async function startBare(answer: string, store: Record<string, string>, stack: AsyncDisposableStack): Promise<string> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'bare-route.ts'), answer], {
    env: { ...process.env, ...store },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  stack.defer(() => {
    child.kill()
  })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return `http://127.0.0.1:${line.toString().trim()}/`
}

/** A closed loop on each connection. @throws Error where an answer is no success */
async function requestsPerSecond(url: string, body?: string): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const end = performance.now() + SECONDS * 1000
  let answered = 0
  const loop = async (): Promise<void> => {
    while (performance.now() < end) {
      await ask(url, agent, body)
      answered++
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, loop))
  agent.destroy()
  return answered / SECONDS
}

function ask(url: string, agent: Agent, body?: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const sent = request(
      url,
      { agent, method: body === undefined ? 'GET' : 'POST', ...(body && { headers }) },
      (response) => {
        if ((response.statusCode ?? 500) >= 300) reject(new Error(`${url} answers ${response.statusCode}`))
        response.resume().once('end', resolve)
      },
    )
    sent.once('error', reject)
    sent.end(body)
  })
}

async function uploadGrowth(farm: Farm): Promise<number> {
  const { pid } = farm.program('gateway')
  const before = rssMiBOf(pid)
  let peak = before
  const sampling = setInterval(() => {
    peak = Math.max(peak, rssMiBOf(pid))
  }, 20)
  const head = '--B\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
  const tail = '\r\n--B\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--B--\r\n'
  const chunk = Buffer.alloc(2 ** 20, '{"a":1}\n')
  function* body(): Generator<Buffer> {
    yield Buffer.from(head)
    for (let sent = 0; sent < UPLOAD_BYTES; sent += chunk.length) yield chunk
    yield Buffer.from(tail)
  }
  const response = await fetch(`${farm.gatewayUrl}/v1/files`, {
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data; boundary=B' },
    body: Readable.from(body()),
    duplex: 'half',
  })
  clearInterval(sampling)
  const { bytes } = (await response.json()) as { bytes: number }
  if (bytes !== UPLOAD_BYTES) throw new Error(`${bytes} bytes arrived of ${UPLOAD_BYTES}`)
  return round(peak - before, 1)
}

/** Follows one batch with a thousand clients and ends it. */
async function followers(farm: Farm, gateway: GatewayClient): Promise<{ clients: number; toldMs: number }> {
  const { id } = await gateway.submitJson(JSON.parse(SUBMIT) as object)
  const agent = new Agent({ maxSockets: Infinity })
  const open = Array.from({ length: SSE_CLIENTS }, async () => {
    const sent = get(`${farm.gatewayUrl}/api/v1/batches/${id}/events`, { agent })
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    await once(response, 'data')
    return response
  })
  const responses = await Promise.all(open)
  const ended = responses.map(async (response) => {
    for await (const chunk of response) if ((chunk as Buffer).includes('event: end')) return true
    return false
  })
  const start = performance.now()
  await gateway.cancel(id)
  const told = (await Promise.all(ended)).filter(Boolean).length
  agent.destroy()
  return { clients: told, toldMs: Math.round(performance.now() - start) }
}

async function statusUnderIngest(gateway: GatewayClient, status: string): Promise<number> {
  const line = `{"checkpoint":"emoji-sd","prompt":"a red apple"}\n`
  const chunks = function* (): Generator<Buffer> {
    for (let i = 0; i < INGEST_PROMPTS; i += 500) yield Buffer.from(line.repeat(500))
  }
  const ended = new AbortController()
  const ingest = gateway.submitNdjson(Readable.from(chunks()), {}).finally(() => ended.abort())
  const agent = new Agent({ keepAlive: true })
  const milliseconds: number[] = []
  while (!ended.signal.aborted) {
    const start = performance.now()
    await ask(status, agent)
    milliseconds.push(performance.now() - start)
    await delay(STATUS_EVERY_MS)
  }
  await ingest
  agent.destroy()
  return round(quantile(milliseconds, 0.99), 1)
}
