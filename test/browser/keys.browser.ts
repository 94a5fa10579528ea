import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { accessibilityProblems, Looker, screenshot } from './browser.harness.ts'

const ROOT_KEY = randomBytes(32).toString('hex')
let looker: Looker
let folder: string
beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-keys-'))
  const [rootKeys, tenants] = [path.join(folder, 'root-keys'), path.join(folder, 'tenants.json')]
  writeFileSync(rootKeys, ROOT_KEY)
  writeFileSync(tenants, '{"default": {}, "acme": {"weight": 3, "cap": 20}}')
  looker = await Looker.start({
    workers: 1,
    env: {
      gateway: {
        DARKROOM_GATEWAY_AUTH: 'keys',
        DARKROOM_GATEWAY_ROOT_KEYS_FILE: rootKeys,
        DARKROOM_GATEWAY_TENANTS_FILE: tenants,
      },
    },
  })
})
afterAll(async () => {
  await looker?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

test('keys are made, used, replaced and revoked, and who has none sees nothing', async () => {
  const { page } = await looker.open('keys')
  await page.getByLabel('API key').fill('wrong')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('not known here').waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await screenshot(page, 'sign-in')
  await page.getByLabel('API key').fill(ROOT_KEY)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Tenants and keys' }).waitFor()
  await page.getByRole('textbox', { name: 'Name' }).fill('nightly')
  await page.getByLabel('Tenant', { exact: true }).fill('acme')
  await page.getByRole('button', { name: 'Make key' }).click()
  const key = (await page.locator('.made code').textContent())!
  expect(key).toMatch(/^dk_/)
  await screenshot(page, 'keys-made')

  const other = await looker.open('keys')
  await other.page.getByLabel('API key').fill(key)
  await other.page.getByRole('button', { name: 'Sign in' }).click()
  await other.page.getByText('acme · key:').waitFor()
  expect(await other.page.getByRole('link', { name: 'Workers' }).count()).toBe(0)

  await page.getByRole('button', { name: 'Revoke' }).click()
  await page.getByText('has ended').waitFor()
  await other.page.reload()
  await other.page.getByText('not known here').first().waitFor({ timeout: 15_000 })
  await other.page.context().close()
  await page.context().close()
})

test('a worker is drained once that was confirmed, and leaves', async () => {
  const { page } = await looker.open('workers')
  await page.getByLabel('API key').fill(ROOT_KEY)
  await page.getByRole('button', { name: 'Sign in' }).click()
  const drain = page.getByRole('button', { name: /^Drain / })
  await drain.click()
  await page.getByRole('alert').waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await screenshot(page, 'worker-drain')
  await page.getByRole('button', { name: 'Keep it' }).click()
  await drain.click()
  await drain.click()
  await page.getByText('None is attached').waitFor({ timeout: 30_000 })
  await page.context().close()
})
