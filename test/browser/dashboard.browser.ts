import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { manyItems } from '../e2e/farm.harness.ts'
import { accessibilityProblems, Looker, screenshot } from './browser.harness.ts'
import type { Theme } from './browser.harness.ts'

const SCREENS = ['', 'batches', 'playground', 'lab', 'workers', 'checkpoints', 'ledger', 'keys'] as const
const THEMES: readonly Theme[] = ['dark', 'light']
const PHONE = { width: 390, height: 844 }

let looker: Looker
let batchId: string
beforeAll(async () => {
  looker = await Looker.start({ workers: 2 })
  batchId = (await looker.farm.gateway.submitJson({ items: manyItems(48, 10) })).id
  await looker.farm.end(batchId)
})
afterAll(() => looker?.[Symbol.asyncDispose]())

describe.each(THEMES)('in the %s theme', (theme) => {
  test.each([...SCREENS, 'batch', 'item'])(
    'the screen %s can be used by everybody, and nothing goes wrong in it',
    async (name) => {
      const route = name === 'batch' ? `batches/${batchId}` : name === 'item' ? `batches/${batchId}?item=3` : name
      const { page, troubles } = await looker.open(route, { theme })
      await page.waitForLoadState('networkidle')
      if (name === 'batch') await page.waitForSelector('.cell img')
      expect(await accessibilityProblems(page)).toEqual([])
      expect(troubles).toEqual([])
      await screenshot(page, `${name || 'overview'}-${theme}`)
      await page.context().close()
    },
  )
})

test.each([...SCREENS])('the screen %s fits a phone', async (name) => {
  const { page } = await looker.open(name, PHONE)
  await page.waitForLoadState('networkidle')
  const overflow = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
  expect(overflow).toBeLessThanOrEqual(0)
  await screenshot(page, `${name || 'overview'}-phone`)
  await page.context().close()
})

test('a picture is rendered in the playground, and kept when the next one comes', async () => {
  const { page, troubles } = await looker.open('playground')
  await page.getByLabel('Prompt', { exact: true }).fill('a panda')
  await page.getByLabel('Steps').fill('200')
  await page.getByRole('button', { name: 'Render' }).click()
  await page.waitForSelector('.easel img.developing')
  await screenshot(page, 'playground-developing')
  await page.waitForSelector('.easel img:not(.developing)')
  await page.getByLabel('Steps').fill('10')
  await page.getByLabel('Seed').fill('8')
  await page.getByRole('button', { name: 'Render' }).click()
  await page.waitForSelector('.history img')
  expect(await page.locator('.easel img').getAttribute('alt')).toBe('a panda')
  await screenshot(page, 'playground-rendered')
  expect(troubles).toEqual([])
  await page.context().close()
})

test('the lab renders a picture for each scheduler and number of steps', async () => {
  const { page, troubles } = await looker.open('lab')
  await page.getByLabel('Steps').fill('4, 8, 16')
  await page.getByRole('button', { name: 'Render 18 pictures' }).click()
  await page.locator('.lab td a img').nth(17).waitFor({ timeout: 60_000 })
  await page.waitForLoadState('networkidle')
  expect(await page.locator('.lab small').first().textContent()).toMatch(/ms|s/)
  expect(await accessibilityProblems(page)).toEqual([])
  await page.locator('.lab').scrollIntoViewIfNeeded()
  await screenshot(page, 'lab-rendered')
  expect(troubles).toEqual([])
  await page.context().close()
})

test('the ledger shows an admin what became of the time of all devices', async () => {
  const { page, troubles } = await looker.open('ledger')
  const [rendering, loading, idle] = await Promise.all(
    ['Rendering', 'Loading', 'Idle'].map((name) => page.locator('.figure', { hasText: name }).first().textContent()),
  )
  expect(rendering).toMatch(/Rendering.*s.*%: .* billed, .* not/)
  expect([loading, idle]).toEqual([expect.stringMatching(/%$/), expect.stringMatching(/%$/)])
  const columns = await page.getByRole('columnheader').allTextContents()
  expect(columns).toEqual(expect.arrayContaining(['Device time', 'Of it failed', 'Retries']))
  const inAll = page.getByRole('row', { name: 'in all' })
  expect(await inAll.getByRole('cell').nth(columns.indexOf('Retries')).textContent()).toBe('0')
  expect(troubles).toEqual([])
  await page.context().close()
})

test('a batch shows of each of its schedulers how much it has rendered of what it has to', async () => {
  const { page, troubles } = await looker.open(`batches/${batchId}`)
  const schedulers = page.getByRole('region', { name: 'By scheduler' })
  await schedulers.getByText('12 / 12').nth(3).waitFor()
  for (const name of ['PNDM', 'EulerDiscrete', 'DDIM', 'DDPM']) {
    const bar = schedulers.getByRole('progressbar', { name: `Images of ${name} that are rendered` })
    expect([await bar.getAttribute('aria-valuenow'), await bar.getAttribute('aria-valuemax')]).toEqual(['12', '12'])
  }
  expect(troubles).toEqual([])
  await page.context().close()
})

test('a batch is watched while it fills, paused, resumed and cancelled', async () => {
  const { id } = await looker.farm.gateway.submitJson({ items: manyItems(400, 40) })
  const { page, troubles } = await looker.open(`batches/${id}`)
  const overview = await looker.open('')
  await page.waitForSelector('.cell.rendered img')
  await screenshot(page, 'batch-filling')
  await overview.page.locator('.legend li').nth(3).waitFor({ timeout: 60_000 })
  await screenshot(overview.page, 'overview-rendering')
  expect([...overview.troubles, ...(await accessibilityProblems(overview.page))]).toEqual([])
  await overview.page.context().close()
  await page.getByRole('button', { name: 'Pause' }).click()
  await page.getByRole('button', { name: 'Resume' }).waitFor()
  await page.getByRole('button', { name: 'Resume' }).click()
  await page.getByRole('button', { name: 'Pause' }).waitFor()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByText('cancelled').first().waitFor()
  const { items } = await looker.farm.end(id)
  expect(items.cancelled).toBeGreaterThan(0)
  await page.getByRole('button', { name: 'Render what is left' }).waitFor()
  const sheet = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Contact sheet' }).click()
  expect((await sheet).suggestedFilename()).toBe(`${id}.png`)
  expect(troubles).toEqual([])
  await page.context().close()
})

test('of a batch that asks, the first items are shown, and the others start with a press of a button', async () => {
  const { id } = await looker.farm.gateway.submitJson({ items: manyItems(6, 10), approveAfter: 2 })
  const { page, troubles } = await looker.open(`batches/${id}`)
  const yes = page.getByRole('button', { name: 'Render the others' })
  await yes.waitFor()
  await page.locator('.cell.rendered img').nth(1).waitFor()
  await screenshot(page, 'batch-asking')
  expect(await accessibilityProblems(page)).toEqual([])
  await yes.click()
  await yes.waitFor({ state: 'detached' })
  await page.locator('.cell.rendered img').nth(5).waitFor()
  expect(troubles).toEqual([])
  await page.context().close()
})

test('an item is paused, resumed and cancelled from its drawer, and rendered again once its batch has ended', async () => {
  const { gateway } = looker.farm
  const { id } = await gateway.submitJson({ items: manyItems(4, 10), approveAfter: 1 })
  const { page, troubles } = await looker.open(`batches/${id}?item=3`)
  const drawer = page.getByRole('dialog')
  await drawer.getByRole('button', { name: 'Pause item' }).click()
  await drawer.getByRole('button', { name: 'Resume item' }).waitFor()
  await drawer.getByText('has paused items').waitFor()
  await screenshot(page, 'item-paused')
  expect(await accessibilityProblems(page)).toEqual([])
  await drawer.getByRole('button', { name: 'Resume item' }).click()
  await drawer.getByRole('button', { name: 'Pause item' }).waitFor()
  await drawer.getByRole('button', { name: 'Cancel item' }).click()
  await drawer.getByRole('button', { name: 'Cancel item' }).waitFor({ state: 'detached' })
  await gateway.update(id, { approved: true })
  expect((await looker.farm.end(id)).items).toMatchObject({ rendered: 3, cancelled: 1 })
  await drawer.getByRole('button', { name: 'Render it again' }).click()
  await page.waitForURL((url) => url.hash.startsWith('#/batches/') && !url.hash.includes(id))
  const again = new URL(page.url()).hash.slice('#/batches/'.length)
  expect((await looker.farm.end(again)).items).toMatchObject({ rendered: 1 })
  expect(troubles).toEqual([])
  await page.context().close()
})

test('ten thousand items are as quick to look at as ten', async () => {
  const { id } = await looker.farm.gateway.submitJson({ items: manyItems(10_000, 1) })
  const { page } = await looker.open(`batches/${id}`)
  await page.waitForSelector('.cell')
  expect(await page.locator('.cell').count()).toBeLessThan(200)
  await page.evaluate('scrollTo(0, document.documentElement.scrollHeight)')
  await page.waitForSelector('.grid[aria-label$="to 9999 of 10000"]')
  expect(await page.locator('.cell').count()).toBeLessThan(200)
  await looker.farm.gateway.cancel(id)
  await page.context().close()
})

test('an item is looked at by keyboard alone, and left with Escape', async () => {
  const { page } = await looker.open(`batches/${batchId}`)
  await page.waitForSelector('.cell img')
  await page.locator('.cell').first().focus()
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  const drawer = page.getByRole('dialog')
  await drawer.waitFor()
  await drawer.getByText('numInferenceSteps').waitFor()
  await page.keyboard.press('Escape')
  await drawer.waitFor({ state: 'detached' })
  await expect.poll(() => new URL(page.url()).hash).toBe(`#/batches/${batchId}`)
  await page.context().close()
})

test('a prompt is text, whatever it says', async () => {
  const prompt = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
  const { id } = await looker.farm.gateway.submitJson({
    items: [{ checkpoint: 'emoji-sd', prompt, numInferenceSteps: 1, customId: '<b>bold</b>' }],
  })
  await looker.farm.end(id)
  const { page, troubles } = await looker.open(`batches/${id}?item=0`)
  const drawer = page.getByRole('dialog')
  await drawer.getByText(prompt).waitFor()
  expect(await drawer.locator('b').count()).toBe(0)
  expect(await page.title()).toBe(`${id} · Darkroom`)
  expect(troubles).toEqual([])
  await page.context().close()
})
