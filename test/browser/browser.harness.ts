import axe from 'axe-core'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { chromium } from 'playwright-core'
import type { Browser, Page } from 'playwright-core'
import { startTestFarm } from '../e2e/farm.harness.ts'
import type { TestFarm } from '../e2e/farm.harness.ts'

const PICTURES = path.resolve(import.meta.dirname, '../../build/screenshots')
const CHROMIUM = process.env['CHROMIUM_BIN'] ?? '/usr/bin/chromium'

export type Theme = 'dark' | 'light'

/** A farm, and a browser that looks at its dashboard. */
export class Looker implements AsyncDisposable {
  readonly farm: TestFarm
  readonly #browser: Browser

  private constructor(farm: TestFarm, browser: Browser) {
    this.farm = farm
    this.#browser = browser
  }

  static async start(options: Parameters<typeof startTestFarm>[0] = {}): Promise<Looker> {
    installChromium()
    const farm = await startTestFarm(options)
    const browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-dev-shm-usage'],
    })
    return new Looker(farm, browser)
  }

  /** A page of its own, without what others have stored. Whatever goes wrong in it is kept in `troubles`. */
  async open(route: string, options: { theme?: Theme; width?: number; height?: number } = {}): Promise<OpenPage> {
    const { theme = 'dark', width = 1360, height = 860 } = options
    const context = await this.#browser.newContext({ viewport: { width, height }, colorScheme: theme })
    const page = await context.newPage()
    const troubles: string[] = []
    page.on('pageerror', (error) => troubles.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error') troubles.push(message.text())
    })
    await page.goto(`${this.farm.farm.gatewayUrl}/#/${route}`)
    await page.waitForSelector('main h1')
    return { page, troubles }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close()
    await this.farm[Symbol.asyncDispose]()
  }
}

export interface OpenPage {
  readonly page: Page
  readonly troubles: string[]
}

/** Debian's chromium; root on a Debian machine gets it here. */
function installChromium(): void {
  if (existsSync(CHROMIUM)) return
  const { status } = spawnSync(
    'apt-get',
    ['install', '-y', '--no-install-recommends', 'chromium', 'fonts-dejavu-core'],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
  if (status !== 0) throw new Error('chromium is missing: apt-get install chromium, or set CHROMIUM_BIN')
}

/** What axe finds on the page as it is, one line each. */
export async function accessibilityProblems(page: Page): Promise<readonly string[]> {
  // The page's policy lets no script in but its own: this one comes in by the debugger.
  await page.evaluate(`window.axe === undefined && (() => { ${axe.source} })()`)
  const { violations } = await page.evaluate<axe.AxeResults>('window.axe.run()')
  return violations.flatMap(({ id, help, nodes }) => nodes.map(({ target }) => `${id}: ${help}: ${target.join(' ')}`))
}

export async function screenshot(page: Page, name: string): Promise<void> {
  mkdirSync(PICTURES, { recursive: true })
  await page.screenshot({ path: path.join(PICTURES, `${name}.png`) })
}
