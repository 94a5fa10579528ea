import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { TcpProxy } from './tcp-proxy.ts'

let echo: Server
let proxy: TcpProxy
let client: Socket
/** What the server has come to read. */
let served = ''

beforeEach(async () => {
  served = ''
  echo = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (piece) => {
      served += piece.toString()
      socket.write(piece)
    })
  })
  echo.listen(0, '127.0.0.1')
  await once(echo, 'listening')
  proxy = await TcpProxy.start((echo.address() as AddressInfo).port)
})
afterEach(async () => {
  client.destroy()
  await proxy[Symbol.asyncDispose]()
  echo.close()
})

async function connected(): Promise<Socket> {
  client = connect(proxy.port, '127.0.0.1')
  client.on('error', () => {})
  await once(client, 'connect')
  return client
}

/** However it comes: `once` would throw the reset. */
function closeOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.on('close', () => resolve()))
}

async function answerTo(text: string): Promise<string> {
  client.write(text)
  const [piece] = (await once(client, 'data')) as [Buffer]
  return piece.toString()
}

test('an open link passes bytes both ways', async () => {
  await connected()
  expect(await answerTo('hello')).toBe('hello')
})

test('a slow link takes its time and keeps the order, also when it becomes quick', async () => {
  await connected()
  proxy.become('slow')
  const start = performance.now()
  client.write('one ')
  await once(client, 'data')
  expect(performance.now() - start).toBeGreaterThan(200)
  client.write('two ')
  client.write('three ')
  proxy.become('open')
  await answerTo('four')
  expect(served).toBe('one two three four')
})

test('a link that is cut resets what is there and what comes', async () => {
  await connected()
  await answerTo('hello')
  const closed = closeOf(client)
  proxy.become('cut')
  await closed
  client = connect(proxy.port, '127.0.0.1')
  client.on('error', () => {})
  await closeOf(client)
  proxy.become('open')
  await connected()
  expect(await answerTo('again')).toBe('again')
})

test('a silent link takes bytes and gives none, and is reset when it is over', async () => {
  await connected()
  await answerTo('hello')
  proxy.become('silent')
  client.write('lost')
  const closed = closeOf(client)
  proxy.become('open')
  await closed
  await connected()
  await answerTo('again')
  expect(served).toBe('helloagain')
})

test('an unavailable link answers HTTP requests with 503', async () => {
  proxy.become('unavailable')
  await connected()
  expect(await answerTo('GET / HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 503 /)
  expect(served).toBe('')
})
