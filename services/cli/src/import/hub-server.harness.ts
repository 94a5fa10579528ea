import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'

export interface HubRequest {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly headers: IncomingMessage['headers']
}

interface Repository {
  readonly commits: Map<string, ReadonlyMap<string, Buffer>>
  readonly branches: Map<string, string>
}

const LFS_BYTES = 64 * 1024
const PAGE_ENTRIES = 4

/**
 * A server that speaks the hub's routes as a client of models meets them: revisions, trees in pages, small files as they are,
 * large ones (LFS) by a redirect to another host, the CDN, whose addresses carry their own right to be read.
 */
export class HubServer implements AsyncDisposable {
  readonly requests: HubRequest[] = []
  readonly cdnRequests: HubRequest[] = []
  /** Bytes of files sent, by path or by hash on the CDN. */
  readonly sent = new Map<string, number>()
  /** May answer in the hub's place; true where it did. */
  intercept: (request: HubRequest, response: ServerResponse) => boolean = () => false
  /** Breaks the CDN's next answers after so many bytes. */
  readonly breakAfter: number[] = []
  /** What the CDN sends for a file, by its right bytes. */
  spoil: (bytes: Buffer) => Buffer = (bytes) => bytes
  readonly #repositories = new Map<string, Repository>()
  readonly #objects = new Map<string, Buffer>()
  readonly #hub = createServer((request, response) => this.#serve(request, response))
  readonly #cdn = createServer((request, response) => this.#serveObject(request, response))

  static async start(): Promise<HubServer> {
    const server = new HubServer()
    for (const each of [server.#hub, server.#cdn])
      await new Promise<void>((resolve) => each.listen(0, '127.0.0.1', resolve))
    return server
  }

  get url(): string {
    return urlOf(this.#hub)
  }

  /** Commits files to a branch and returns the commit. */
  commit(name: string, files: ReadonlyMap<string, Buffer>, branch = 'main'): string {
    const repository = this.#repositories.get(name) ?? { commits: new Map(), branches: new Map() }
    const hash = createHash('sha1').update(`${branch} ${repository.commits.size}`)
    for (const [file, bytes] of files) hash.update(file).update(bytes)
    const commit = hash.digest('hex')
    repository.commits.set(commit, files)
    repository.branches.set(branch, commit)
    this.#repositories.set(name, repository)
    for (const bytes of files.values()) this.#objects.set(sha256(bytes), bytes)
    return commit
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url!, this.url)
    const received = { method: request.method!, path: decodeURIComponent(url.pathname), headers: request.headers }
    this.requests.push(received)
    if (this.intercept(received, response)) return
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/(.+)$/.exec(received.path)
    const resolve = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(received.path)
    const [, name, kind, revision] = api ?? [undefined, resolve?.[1], 'resolve', resolve?.[2]]
    const repository = this.#repositories.get(name ?? '')
    if (repository === undefined) return refuse(response, 404, 'RepoNotFound')
    const commit = repository.branches.get(revision!) ?? revision!
    const files = repository.commits.get(commit)
    if (files === undefined) return refuse(response, 404, 'RevisionNotFound')
    if (kind === 'revision') {
      const siblings = [...files.keys()].map((rfilename) => ({ rfilename }))
      return sendJson(response, {
        _id: 'id',
        id: name,
        sha: commit,
        lastModified: '2026-11-23T00:00:00.000Z',
        siblings,
      })
    }
    if (kind === 'tree') return this.#sendTree(response, url, files)
    const bytes = files.get(resolve![3]!)
    if (bytes === undefined) return refuse(response, 404, 'EntryNotFound')
    response.setHeader('x-repo-commit', commit)
    if (bytes.length < LFS_BYTES) {
      response.setHeader('etag', `"${gitSha1(bytes)}"`)
      return this.#sendBytes(request, response, bytes, resolve![3]!)
    }
    response.writeHead(302, {
      location: `${urlOf(this.#cdn)}/${sha256(bytes)}?signed=yes`,
      'x-linked-etag': `"${sha256(bytes)}"`,
      'x-linked-size': bytes.length,
    })
    response.end()
  }

  #sendTree(response: ServerResponse, url: URL, files: ReadonlyMap<string, Buffer>): void {
    const folders = new Set(
      [...files.keys()].map((file) => path.posix.dirname(file)).filter((folder) => folder !== '.'),
    )
    const entries = [
      ...[...folders].map((folder) => ({ type: 'directory', oid: '0'.repeat(40), size: 0, path: folder })),
      ...[...files].map(([file, bytes]) => treeEntry(file, bytes)),
    ]
    const start = Number(url.searchParams.get('cursor') ?? 0)
    const next = start + PAGE_ENTRIES
    if (next < entries.length) {
      url.searchParams.set('cursor', String(next))
      response.setHeader('link', `<${url.href}>; rel="next"`)
    }
    sendJson(response, entries.slice(start, next))
  }

  #serveObject(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url!, this.url)
    this.cdnRequests.push({ method: request.method!, path: url.pathname, headers: request.headers })
    const hash = url.pathname.slice(1)
    const bytes = this.#objects.get(hash)
    if (bytes === undefined || url.search !== '?signed=yes') return refuse(response, 403, 'AccessDenied')
    this.#sendBytes(request, response, this.spoil(bytes), hash, this.breakAfter.shift())
  }

  #sendBytes(
    request: IncomingMessage,
    response: ServerResponse,
    bytes: Buffer,
    counter: string,
    breakAfter = Number.POSITIVE_INFINITY,
  ): void {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    if (start > 0 && start >= bytes.length) {
      response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end()
      return
    }
    const body = bytes.subarray(start)
    response.writeHead(start > 0 ? 206 : 200, {
      'content-length': body.length,
      ...(start > 0 && { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
    })
    const part = body.subarray(0, breakAfter)
    this.sent.set(counter, (this.sent.get(counter) ?? 0) + part.length)
    if (part.length === body.length) response.end(part)
    else response.write(part, () => response.destroy())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of [this.#hub, this.#cdn]) {
      each.closeAllConnections()
      await new Promise((resolve) => each.close(resolve))
    }
  }
}

/** Every file of a folder, as the hub would hold them. */
export async function filesOf(folder: string): Promise<Map<string, Buffer>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name))
  return new Map(
    await Promise.all(files.map(async (file) => [path.relative(folder, file), await readFile(file)] as const)),
  )
}

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** What git calls these bytes. */
const gitSha1 = (bytes: Buffer): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')

/** The name of a file's bytes in the cache. */
export const etagOf = (bytes: Buffer): string => (bytes.length < LFS_BYTES ? gitSha1(bytes) : sha256(bytes))

function treeEntry(file: string, bytes: Buffer): object {
  const entry = { type: 'file', path: file, size: bytes.length }
  if (bytes.length < LFS_BYTES) return { ...entry, oid: gitSha1(bytes) }
  return { ...entry, oid: '1'.repeat(40), lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 } }
}

export function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'x-error-code': code, 'content-type': 'application/json' })
  response.end(JSON.stringify({ error: code }))
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
