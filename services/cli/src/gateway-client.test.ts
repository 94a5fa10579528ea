import { DarkroomError } from '@darkroom/chassis'
import type { ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { batchJson, sendJson, StandInGateway } from './gateway.harness.ts'
import { GatewayClient } from './gateway-client.ts'

const event = (id: number, name: string, state: 'running' | 'completed'): string =>
  `id: ${id}\nevent: ${name}\ndata: ${JSON.stringify(batchJson({ state }))}\n\n`

function startEvents(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
}

describe('following a batch', () => {
  test('goes on after a broken stream from the last event that came', async () => {
    await using gateway = await StandInGateway.start(({ headers }, response) => {
      startEvents(response)
      if (headers['last-event-id'] === undefined) {
        response.write(`: heartbeat\n\n${event(9, 'progress', 'running')}`, () => response.destroy())
      } else response.end(event(12, 'end', 'completed'))
    })
    const client = new GatewayClient(gateway.url)
    const seen = await Array.fromAsync(client.follow('b', new AbortController().signal))
    expect(seen.map(({ state }) => state)).toEqual(['running', 'completed'])
    expect(gateway.requests.map(({ headers }) => headers['last-event-id'])).toEqual([undefined, '9'])
  })

  test('hands previews over apart: they are no news of the batch', async () => {
    await using gateway = await StandInGateway.start((_, response) => {
      startEvents(response)
      response.end(`event: preview\ndata: {"item":0}\n\n${event(3, 'end', 'completed')}`)
    })
    const client = new GatewayClient(gateway.url)
    const previews: unknown[] = []
    const { signal } = new AbortController()
    const seen = await Array.fromAsync(client.follow('b', signal, async (preview) => void previews.push(preview)))
    expect(seen.map(({ state }) => state)).toEqual(['completed'])
    expect(previews).toEqual([{ item: 0 }])
    const refusing = client.follow('b', signal, async () => {
      throw new DarkroomError('INVALID_REQUEST', 'cannot write')
    })
    await expect(Array.fromAsync(refusing)).rejects.toThrow('cannot write')
  })

  test('puts an event together that came in pieces, in the middle of a letter too', async () => {
    await using gateway = await StandInGateway.start((_, response) => {
      startEvents(response)
      const text = `id: 1\nevent: end\ndata: ${JSON.stringify({ ...batchJson(), id: 'größe' })}\n\n`
      const bytes = Buffer.from(text)
      const middle = bytes.indexOf(Buffer.from('ö')) + 1
      response.write(bytes.subarray(0, middle), () => setImmediate(() => response.end(bytes.subarray(middle))))
    })
    const client = new GatewayClient(gateway.url)
    const seen = await Array.fromAsync(client.follow('b', new AbortController().signal))
    expect(seen.map(({ id }) => id)).toEqual(['größe'])
  })

  test('ends without an error when it is aborted', async () => {
    await using gateway = await StandInGateway.start((_, response) => {
      startEvents(response)
      response.write(event(1, 'progress', 'running'))
    })
    const stop = new AbortController()
    const states: string[] = []
    for await (const { state } of new GatewayClient(gateway.url).follow('b', stop.signal)) {
      states.push(state)
      stop.abort()
    }
    expect(states).toEqual(['running'])
  })

  test('gives up at once on a batch that is not there', async () => {
    await using gateway = await StandInGateway.start((_, response) => sendJson(response, { detail: 'no batch b' }, 404))
    const following = Array.fromAsync(new GatewayClient(gateway.url).follow('b', new AbortController().signal))
    await expect(following).rejects.toMatchObject({ code: 'NOT_FOUND', message: 'no batch b' })
  })
})

test('an answer that is no problem document still becomes an error that names its status', async () => {
  await using gateway = await StandInGateway.start((_, response) => response.writeHead(400).end('<html>'))
  await expect(new GatewayClient(gateway.url).batch('b')).rejects.toMatchObject({
    code: 'INVALID_REQUEST',
    message: 'the gateway answered 400',
  })
})
