import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keys } from '@darkroom/proto'
import type { BatchDocument } from '@darkroom/proto'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'
import { ImageUrls } from './image-urls.ts'
import type { RouteScope } from './caller.ts'

const ROOT_KEY = randomBytes(32).toString('hex')
const TENANTS = { default: {}, acme: { checkpoints: ['emoji-sd'] }, rival: { requestsPerMinute: 5 }, 'rival-too': {} }

/** Who may call what. A route that is not here, or not as here, fails the test of the matrix. */
const MATRIX: Readonly<Record<string, RouteScope>> = {
  'GET /api/v1/batches': 'read',
  'POST /api/v1/batches': 'write',
  'POST /api/v1/quote': 'read',
  'POST /api/v1/pictures': 'write',
  'GET /api/v1/batches/{id}': 'read',
  'PATCH /api/v1/batches/{id}': 'write',
  'POST /api/v1/batches/{id}/cancel': 'write',
  'POST /api/v1/batches/{id}/retry': 'write',
  'GET /api/v1/batches/{id}/events': 'read',
  'GET /api/v1/batches/{id}/items': 'read',
  'GET /api/v1/batches/{id}/items/{index}/explanation': 'read',
  'GET /api/v1/batches/{id}/output.jsonl': 'read',
  'GET /api/v1/batches/{id}/errors.jsonl': 'read',
  'GET /api/v1/batches/{id}/images/{name}': 'read',
  'GET /api/v1/batches/{id}/contact-sheet': 'read',
  'GET /api/v1/workers': 'admin',
  'POST /api/v1/workers/{id}/drain': 'admin',
  'GET /api/v1/checkpoints': 'read',
  'GET /api/v1/schedulers': 'read',
  'GET /api/v1/ledger': 'read',
  'GET /api/v1/me': 'read',
  'GET /api/v1/tenants': 'admin',
  'GET /api/v1/audit': 'admin',
  'GET /api/v1/keys': 'admin',
  'POST /api/v1/keys': 'admin',
  'DELETE /api/v1/keys/{id}': 'admin',
  'POST /api/v1/keys/{id}/rotate': 'admin',
  'POST /v1/files': 'write',
  'GET /v1/files': 'read',
  'GET /v1/files/{id}': 'read',
  'GET /v1/files/{id}/content': 'read',
  'DELETE /v1/files/{id}': 'write',
  'POST /v1/batches': 'write',
  'GET /v1/batches': 'read',
  'GET /v1/batches/{id}': 'read',
  'POST /v1/batches/{id}/cancel': 'write',
  'POST /v1/images/generations': 'write',
  'POST /v1/images/edits': 'write',
  'POST /models/{model}': 'write',
  'POST /sdapi/v1/txt2img': 'write',
  'POST /sdapi/v1/img2img': 'write',
  'GET /sdapi/v1/samplers': 'read',
  'GET /sdapi/v1/schedulers': 'read',
  'GET /sdapi/v1/sd-models': 'read',
  'GET /sdapi/v1/options': 'read',
  'GET /sdapi/v1/progress': 'read',
  'GET /v1/models': 'read',
  'GET /v1/models/{id}': 'read',
}
const ITEM = { checkpoint: 'emoji-sd', prompt: 'a red apple' }
const IMAGE_NAME = `0-0-${'0'.repeat(64)}.png`

let gateway: TestGateway
let key: Readonly<Record<'read' | 'write' | 'admin' | 'rival', string>>
beforeAll(async () => {
  gateway = await startTestGateway({}, { tenants: TENANTS, rootKey: ROOT_KEY })
  key = {
    read: await makeKey({ tenant: 'acme', scopes: ['read'] }),
    write: await makeKey({ tenant: 'acme', scopes: ['read', 'write'] }),
    admin: await makeKey({ tenant: 'default', scopes: ['admin'] }),
    rival: await makeKey({ tenant: 'rival', scopes: ['read', 'write'] }),
  }
})
afterAll(() => gateway[Symbol.asyncDispose]())

function call(method: string, route: string, secret: string | null, body?: unknown): Promise<Response> {
  return fetch(gateway.url + route, {
    method,
    redirect: 'manual',
    headers: {
      ...(secret !== null && { authorization: `Bearer ${secret}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
}

async function createKey(request: object): Promise<{ id: string; key: string }> {
  const response = await call('POST', '/api/v1/keys', ROOT_KEY, { name: 'test', ...request })
  expect(response.status).toBe(201)
  return (await response.json()) as { id: string; key: string }
}

async function makeKey(request: object): Promise<string> {
  return (await createKey(request)).key
}

async function submit(secret: string, items: readonly object[] = [ITEM]): Promise<BatchDocument> {
  const response = await call('POST', '/api/v1/batches', secret, { items })
  const { id } = (await response.json()) as { id: string }
  expect(response.status).toBe(201)
  return (await gateway.store.getJson<BatchDocument>(keys.batch(id)))!
}

async function operations(): Promise<readonly string[]> {
  const { paths } = (await (await call('GET', '/openapi.json', null)).json()) as { paths: Record<string, object> }
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
}

test('the matrix of access names every route', async () => {
  expect((await operations()).toSorted()).toEqual(Object.keys(MATRIX).toSorted())
})

describe.each(Object.entries(MATRIX))('%s', (operation, scope) => {
  const [method, path] = operation.split(' ') as [string, string]
  const route = path
    .replace('{id}', path.includes('/keys/') ? '0'.repeat(16) : 'b0000000000000000000000')
    .replace('{index}', '0')
    .replace('{name}', IMAGE_NAME)
  const statusOf = async (secret: string | null): Promise<number> => {
    const body = method === 'POST' || method === 'PATCH' ? {} : undefined
    const response = await call(method, route, secret, body)
    await response.body?.cancel()
    return response.status
  }
  const ranks: Readonly<Record<RouteScope, number>> = { public: 0, read: 1, write: 2, admin: 3 }

  test(`asks for ${scope}`, async () => {
    const refusals = [401, 403]
    const isPublic = scope === 'public'
    for (const nobody of [null, 'dk_guess', `dk_${'0'.repeat(16)}_${'0'.repeat(64)}`, ROOT_KEY.slice(1)]) {
      if (isPublic) expect(refusals).not.toContain(await statusOf(nobody))
      else expect(await statusOf(nobody)).toBe(401)
    }
    for (const [rank, holder] of [
      [1, key.read],
      [2, key.write],
      [3, key.admin],
      [3, ROOT_KEY],
    ] as const) {
      const status = await statusOf(holder)
      if (rank >= ranks[scope]) expect(refusals).not.toContain(status)
      else expect(status).toBe(403)
    }
  })
})

test('what one tenant has, another can neither see, change nor tell from what is not there', async () => {
  const mine = await submit(key.write)
  const nothing = 'b0000000000000000000000'
  const attempts: readonly (readonly [string, string, unknown?])[] = [
    ['GET', ''],
    ['PATCH', '', { paused: true }],
    ['POST', '/cancel'],
    ['POST', '/retry'],
    ['GET', '/events'],
    ['GET', '/items'],
    ['GET', '/items/0/explanation'],
    ['GET', '/output.jsonl'],
    ['GET', '/errors.jsonl'],
    ['GET', `/images/${IMAGE_NAME}`],
  ]
  const rival = await makeKey({ tenant: 'rival-too', scopes: ['read', 'write'] })
  const answer = async (method: string, id: string, rest: string, body: unknown): Promise<string> => {
    const response = await call(method, `/api/v1/batches/${id}${rest}`, rival, body)
    return `${response.status} ${(await response.text()).replaceAll(id, 'ID').replace(/"requestId":"[^"]*"/, '')}`
  }
  for (const [method, rest, body] of attempts) {
    const theirs = await answer(method, mine.id, rest, body)
    expect(theirs, `${method} ${rest}`).toMatch(/^404 /)
    expect(theirs, `${method} ${rest}`).toBe(await answer(method, nothing, rest, body))
  }
})

test('a list shows a tenant its own, and the operator everything, the time of all devices with it', async () => {
  await call('GET', '/api/v1/batches', key.read)
  await call('GET', '/api/v1/batches', key.admin)
  expect(gateway.coordinator.listedTenants.slice(-2)).toEqual(['acme', ''])
  const farmShown = async (response: Response): Promise<boolean> =>
    ((await response.json()) as { farm: unknown }).farm !== null
  expect(await farmShown(await call('GET', '/api/v1/ledger', key.read))).toBe(false)
  expect(gateway.coordinator.ledgerAsked).toMatchObject({ tenant: 'acme' })
  expect(await farmShown(await call('GET', '/api/v1/ledger', key.admin))).toBe(true)
  expect(gateway.coordinator.ledgerAsked).toMatchObject({ tenant: '' })
})

test('a batch belongs to the tenant of its key, and the operator may see it', async () => {
  const document = await submit(key.write)
  expect(document.tenant).toBe('acme')
  expect((await call('GET', `/api/v1/batches/${document.id}`, key.admin)).status).toBe(200)
})

test('a tenant renders with its checkpoints alone, and is shown no others', async () => {
  const refused = await call('POST', '/api/v1/batches', key.write, { items: [{ checkpoint: 'emoji-ddpm' }] })
  expect(await refused.json()).toMatchObject({
    code: 'INVALID_REQUEST',
    errors: [{ field: 'items[0].checkpoint', value: 'emoji-ddpm', message: expect.stringMatching('for your tenant') }],
  })
  const namesFor = async (secret: string): Promise<readonly string[]> => {
    const { checkpoints } = (await (await call('GET', '/api/v1/checkpoints', secret)).json()) as {
      checkpoints: { name: string }[]
    }
    return checkpoints.map(({ name }) => name)
  }
  expect(await namesFor(key.write)).toEqual(['emoji-sd'])
  expect((await namesFor(key.admin)).toSorted()).toEqual(['emoji-ddpm', 'emoji-sd'])
})

test('a picture that one tenant uploaded is no picture of another, even by its key', async () => {
  const picture = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==',
    'base64',
  )
  const upload = await fetch(`${gateway.url}/api/v1/pictures`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key.write}`, 'content-type': 'image/png' },
    body: picture,
  })
  const { key: picturesKey } = (await upload.json()) as { key: string }
  expect(picturesKey).toBe(keys.inputPicture('acme', createHash('sha256').update(picture).digest('hex')))
  const item = { ...ITEM, task: 'image-to-image', image: picturesKey }
  const stolen = await call('POST', '/api/v1/batches', key.admin, { items: [item] })
  expect(await stolen.json()).toMatchObject({ errors: [{ field: 'items[0].image' }] })
})

test('files and batches in OpenAI’s shapes are a tenant’s own', async () => {
  const form = new FormData()
  form.append('file', new Blob(['{}\n']), 'requests.jsonl')
  form.append('purpose', 'batch')
  const upload = await fetch(`${gateway.url}/v1/files`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key.write}` },
    body: form,
  })
  const { id: fileId } = (await upload.json()) as { id: string }
  const made = await call('POST', '/v1/batches', key.write, {
    input_file_id: fileId,
    endpoint: '/v1/images/generations',
    completion_window: '24h',
  })
  const { id: batchId } = (await made.json()) as { id: string }
  const rival = await makeKey({ tenant: 'rival-too', scopes: ['read', 'write'] })
  for (const [method, route] of [
    ['GET', `/v1/files/${fileId}`],
    ['GET', `/v1/files/${fileId}/content`],
    ['DELETE', `/v1/files/${fileId}`],
    ['GET', `/v1/batches/${batchId}`],
    ['POST', `/v1/batches/${batchId}/cancel`],
    ['GET', `/v1/files/${batchId.replace('batch_', 'file-output-')}`],
  ] as const) {
    expect((await call(method, route, rival)).status, `${method} ${route}`).toBe(404)
    if (method === 'GET' && !route.includes('output')) expect((await call(method, route, key.read)).status).toBe(200)
  }
  const stolen = await call('POST', '/v1/batches', rival, {
    input_file_id: fileId,
    endpoint: '/v1/images/generations',
    completion_window: '24h',
  })
  expect(await stolen.json()).toMatchObject({ status: 400, error: { param: 'input_file_id' } })
  for (const route of ['/v1/files', '/v1/batches'])
    expect(await (await call('GET', route, rival)).json()).toMatchObject({ data: [], has_more: false })
})

test('a signed address of a picture needs no key, and is good for that picture alone until it ends', async () => {
  const { id } = await submit(key.write)
  const name = IMAGE_NAME
  await gateway.store.put(keys.image(id, name), 'picture', { contentType: 'image/png' })
  const urls = await ImageUrls.open(gateway.store)
  const urlOf = async (now: Date): Promise<string> => urls.of(id, name, now)
  const good = await urlOf(new Date())
  expect((await call('GET', `${good}&proxy=1`, null)).status).toBe(200)
  expect((await call('GET', good.replace(name, `1${name.slice(1)}`), null)).status).toBe(401)
  const wrong = good.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'))
  expect((await call('GET', wrong, null)).status).toBe(401)
  expect((await call('GET', await urlOf(new Date('2020-01-01')), null)).status).toBe(401)
  expect((await call('GET', `/api/v1/batches/${id}/images/${name}?proxy=1`, key.read)).status).toBe(200)
})

describe('a key', () => {
  test('is stored as a hash, and shown once', async () => {
    const { id, key: secret } = await createKey({ tenant: 'acme', scopes: ['read'] })
    const stored = Buffer.from((await gateway.store.get(keys.apiKey(id)))!).toString()
    expect(stored).toContain(createHash('sha256').update(secret).digest('hex'))
    expect(stored).not.toContain(secret.split('_')[2])
    const listed = await (await call('GET', '/api/v1/keys', ROOT_KEY)).text()
    expect(listed).toContain(id)
    expect(listed).not.toContain(secret.split('_')[2])
    expect(listed).not.toContain('sha256')
  })

  test('ends when it is revoked, or at its time', async () => {
    const { id, key: secret } = await createKey({ tenant: 'acme', scopes: ['read'] })
    expect((await call('GET', '/api/v1/me', secret)).status).toBe(200)
    expect((await call('DELETE', `/api/v1/keys/${id}`, key.admin)).status).toBe(200)
    expect((await call('GET', '/api/v1/me', secret)).status).toBe(401)
    const past = await call('POST', '/api/v1/keys', ROOT_KEY, {
      name: 'old',
      tenant: 'acme',
      scopes: ['read'],
      expiresAt: '2020-01-01T00:00:00Z',
    })
    expect(await past.json()).toMatchObject({ errors: [{ field: 'expiresAt' }] })
  })

  test('is replaced by one with the same rights while it still works', async () => {
    const { id, key: old } = await createKey({ tenant: 'acme', scopes: ['read', 'write'] })
    const rotated = await call('POST', `/api/v1/keys/${id}/rotate`, ROOT_KEY, { overlapSeconds: 60 })
    const { key: next } = (await rotated.json()) as { key: string }
    const rightsOf = async (secret: string) => {
      const { tenant, scopes } = (await (await call('GET', '/api/v1/me', secret)).json()) as {
        tenant: string
        scopes: string[]
      }
      return { tenant, scopes }
    }
    expect(await rightsOf(next)).toEqual({ tenant: 'acme', scopes: ['read', 'write'] })
    expect(await rightsOf(old)).toEqual({ tenant: 'acme', scopes: ['read', 'write'] })
    await call('POST', `/api/v1/keys/${id}/rotate`, ROOT_KEY, { overlapSeconds: 0 })
    expect((await call('GET', '/api/v1/me', old)).status).toBe(401)
  })

  test('is made for a tenant that is known, or not at all', async () => {
    for (const tenant of ['stranger', '../acme', 'ACME']) {
      const response = await call('POST', '/api/v1/keys', ROOT_KEY, { name: 'x', tenant, scopes: ['read'] })
      expect(await response.json()).toMatchObject({ status: 400, errors: [{ field: 'tenant', value: tenant }] })
    }
  })
})

test('who changed what is noted, with what was asked and how it was before', async () => {
  const { id } = await submit(key.write)
  await call('PATCH', `/api/v1/batches/${id}`, key.write, { paused: true, priority: 5 })
  await call('POST', `/api/v1/batches/${id}/cancel`, key.admin)
  const made = await createKey({ tenant: 'acme', scopes: ['read'] })
  await call('DELETE', `/api/v1/keys/${made.id}`, key.admin)
  const entries: { action: string; subject: string; target: string }[] = []
  for (let cursor: string | null = ''; cursor !== null;) {
    const page: { entries: typeof entries; nextCursor: string | null } = (await (
      await call('GET', `/api/v1/audit?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`, ROOT_KEY)
    ).json()) as never
    entries.push(...page.entries)
    cursor = page.nextCursor
  }
  expect(entries.filter(({ target }) => target === id)).toMatchObject([
    {
      action: 'batch.update',
      subject: `key:${key.write.split('_')[1]}`,
      tenant: 'acme',
      change: { paused: true, priority: 5, before: { paused: false, priority: 0 } },
    },
    { action: 'batch.cancel', subject: `key:${key.admin.split('_')[1]}`, tenant: 'default' },
  ])
  expect(entries.filter(({ target }) => target === made.id).map(({ action, subject }) => [action, subject])).toEqual([
    ['key.create', 'root'],
    ['key.revoke', `key:${key.admin.split('_')[1]}`],
  ])
  expect(JSON.stringify(entries)).not.toContain(made.key)
})

test('a tenant over its requests a minute is told when to go on, and the others are not held up', async () => {
  const answers = []
  for (let i = 0; i < 6; i++) answers.push(await call('GET', '/api/v1/me', key.rival))
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 429])
  expect(answers[0]!.headers.get('ratelimit-limit')).toBe('5')
  expect(Number(answers[5]!.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(await answers[5]!.json()).toMatchObject({ code: 'TOO_MANY_REQUESTS', status: 429 })
  expect((await call('GET', '/api/v1/me', key.read)).status).toBe(200)
})
