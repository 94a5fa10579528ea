import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { startTestGateway } from '../gateway.harness.ts'
import { API_TYPES, currentApiTypes } from './make-api-types.ts'

const BUILT = path.resolve(import.meta.dirname, '../../web/dist')
const MAX_GZIPPED_BYTES = 120_000

test('the dashboard knows the API as it is: `node services/gateway/src/dashboard/make-api-types.ts` writes it', async () => {
  expect(readFileSync(API_TYPES, 'utf8') === (await currentApiTypes())).toBe(true)
})

test('the whole dashboard is less than 120 kB, gzipped', () => {
  const files = globSync('**/*.*', { cwd: BUILT })
  expect(files).toContain('index.html')
  const bytes = files.reduce((sum, file) => sum + gzipSync(readFileSync(path.join(BUILT, file))).length, 0)
  expect(bytes).toBeLessThan(MAX_GZIPPED_BYTES)
})

test('the gateway sends it with a policy that lets nothing else in, and its assets for good', async () => {
  await using gateway = await startTestGateway({}, { rootKey: 'r'.repeat(64) })
  const page = await fetch(`${gateway.url}/`)
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
  expect(page.headers.get('content-security-policy')).toMatch("script-src 'self'")
  const html = await page.text()
  expect(html).not.toMatch(/<script(?![^>]*src=)|style=|https?:/)
  const script = /src="\.(\/assets\/[^"]+\.js)"/.exec(html)![1]!
  const asset = await fetch(gateway.url + script)
  expect([asset.status, asset.headers.get('cache-control')]).toEqual([200, 'public, max-age=31536000, immutable'])
  expect((await fetch(`${gateway.url}/assets/../../package.json`)).status).toBe(404)
  expect((await fetch(`${gateway.url}/api/v1/me`)).status).toBe(401)
})
