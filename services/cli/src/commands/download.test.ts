import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { on, once } from 'node:events'
import { watch } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { batchJson, sendJson, StandInGateway } from '../gateway.harness.ts'
import { GatewayClient } from '../gateway-client.ts'
import { itemsNamed } from '../item-ranges.ts'
import { downloadBatch } from './download.ts'

const MAIN = path.resolve(import.meta.dirname, '../main.ts')

const { id } = batchJson()
const sha256 = (bytes: string): string => createHash('sha256').update(bytes).digest('hex')

let folder: string
let gateway: StandInGateway
/** What the gateway serves as images. */
let images: Map<string, string>

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'darkroom-download-'))
  images = new Map(['one', 'two', 'three'].map((bytes, i) => [`${i}-0-${sha256(bytes)}.png`, bytes]))
  // A customId may hold what some take for the end of a line.
  const output = [...images].map(([name, bytes], index) =>
    JSON.stringify({ index, customId: 'a\u2028b', images: [{ name, sha256: sha256(bytes) }] }),
  )
  gateway = await StandInGateway.start(({ url }, response) => {
    if (url.endsWith(id)) return sendJson(response, batchJson())
    if (url.endsWith('output.jsonl')) return void response.end(`${output.join('\n')}\n`)
    response.end(images.get(path.basename(url)) ?? '')
  })
})
afterEach(async () => {
  await gateway[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

test('fetches the result files and every picture under its name', async () => {
  const result = await downloadBatch(new GatewayClient(gateway.url), id, folder)
  expect(result).toEqual({ folder, images: 3, fetched: 3 })
  expect((await readdir(folder)).toSorted()).toEqual([...images.keys(), 'errors.jsonl', 'output.jsonl'].toSorted())
  for (const [name, bytes] of images) expect(await readFile(path.join(folder, name), 'utf8')).toBe(bytes)
})

test('fetches again only what is missing or broken', async () => {
  const client = new GatewayClient(gateway.url)
  await downloadBatch(client, id, folder)
  const [first, second] = [...images.keys()]
  await rm(path.join(folder, first!))
  await writeFile(path.join(folder, second!), 'tw')
  const again = await downloadBatch(client, id, folder)
  expect(again).toEqual({ folder, images: 3, fetched: 2 })
  expect(await readFile(path.join(folder, second!), 'utf8')).toBe('two')
})

test('a picture with other bytes than its name says is refused and not stored', async () => {
  const [name] = images.keys()
  images.set(name!, 'else')
  const downloading = downloadBatch(new GatewayClient(gateway.url), id, folder)
  await expect(downloading).rejects.toThrow(/arrived with other bytes than its name says/)
  expect(await readdir(folder)).not.toContain(name)
})

test('a batch that goes on is refused before anything is written', async () => {
  gateway.answer = (_, response) => sendJson(response, batchJson({ state: 'running' }))
  const out = path.join(folder, 'out')
  await expect(downloadBatch(new GatewayClient(gateway.url), id, out)).rejects.toThrow(/darkroom watch/)
  expect(await readdir(folder)).toEqual([])
})

test('fetches the pictures of some items where asked, and says which words it does not take', async () => {
  const isWanted = itemsNamed('0, 2-9')
  const result = await downloadBatch(new GatewayClient(gateway.url), id, folder, isWanted)
  expect(result).toMatchObject({ images: 2, fetched: 2 })
  const [first, second, third] = [...images.keys()]
  expect(await readdir(folder)).toEqual(expect.arrayContaining([first, third]))
  expect(await readdir(folder)).not.toContain(second)
  for (const text of ['', '9-2', 'all', '1,,2', '-1'])
    expect(() => itemsNamed(text)).toThrow(/--items: '.*' (is neither|ends before)/)
})

test('killed in the middle it leaves no half picture under a name, and goes on with what is missing', async () => {
  const [first, second] = [...images.keys()]
  const answer = gateway.answer
  const isHalfway = Promise.withResolvers<void>()
  gateway.answer = (request, response) => {
    if (path.basename(request.url) !== second) return answer(request, response)
    response.writeHead(200, { 'content-length': 3 }).write('tw', () => isHalfway.resolve())
  }
  const download = () => spawn(process.execPath, [MAIN, '--gateway', gateway.url, 'download', id, '--out', folder])
  const watcher = watch(folder)
  const changes = on(watcher, 'change')
  const program = download()
  await isHalfway.promise
  for await (const [, filename] of changes) if (filename === first) break
  watcher.close()
  program.kill('SIGKILL')
  await once(program, 'exit')
  for (const name of (await readdir(folder)).filter((file) => images.has(file)))
    expect(await readFile(path.join(folder, name), 'utf8')).toBe(images.get(name))
  expect(await readdir(folder)).not.toContain(second)
  gateway.answer = answer
  expect(await once(download(), 'exit')).toEqual([0, null])
  for (const [name, bytes] of images) expect(await readFile(path.join(folder, name), 'utf8')).toBe(bytes)
})
