import { freePort } from '@darkroom/local'
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, openSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { rules, RULES_FILE, RUNBOOKS } from './expressions.ts'

const START_TIMEOUT_MS = 20_000

export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value?: readonly [number, string]
  readonly values?: readonly (readonly [number, string])[]
}

/** Debian's prometheus package; root on a Debian machine gets it here. @throws Error that says how to get it */
export function installPrometheus(): void {
  if (spawnSync('promtool', ['--version']).status === 0) return
  const { status } = spawnSync('apt-get', ['install', '-y', '--no-install-recommends', 'prometheus'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) throw new Error('promtool and prometheus are missing: apt-get install prometheus')
}

/** @throws Error where promtool is not content; it has said why */
export function promtool(...args: readonly string[]): void {
  const { status } = spawnSync('promtool', args, { stdio: 'inherit', cwd: path.dirname(RULES_FILE) })
  if (status !== 0) throw new Error(`promtool ${args.join(' ')} ended with ${status}`)
}

/** A real Prometheus that scrapes a farm every second and evaluates the rules. */
export class Prometheus implements AsyncDisposable {
  readonly url: string
  readonly #stop: () => Promise<void>

  private constructor(url: string, stop: () => Promise<void>) {
    this.url = url
    this.#stop = stop
  }

  /** @param targets URL of /metrics by process name, such as worker-1 */
  static async start(directory: string, targets: Readonly<Record<string, string>>): Promise<Prometheus> {
    mkdirSync(directory, { recursive: true })
    const jobs = Object.groupBy(Object.entries(targets), ([name]) => name.split('-')[0]!)
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [RULES_FILE],
      scrape_configs: Object.entries(jobs).map(([job_name, found]) => ({
        job_name,
        static_configs: found!.map(([name, url]) => ({ targets: [new URL(url).host], labels: { instance: name } })),
      })),
    }
    const file = path.join(directory, 'prometheus.yml')
    writeFileSync(file, JSON.stringify(config))
    const port = await freePort()
    const log = openSync(path.join(directory, 'prometheus.log'), 'w')
    const child = spawn(
      'prometheus',
      [
        `--config.file=${file}`,
        `--storage.tsdb.path=${path.join(directory, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        `--web.user-assets=${RUNBOOKS}`,
      ],
      { stdio: ['ignore', log, log] },
    )
    const exited = new Promise<void>((resolve) => {
      child.once('exit', () => resolve())
    })
    const prometheus = new Prometheus(`http://127.0.0.1:${port}`, async () => {
      child.kill('SIGTERM')
      await exited
    })
    const deadline = Date.now() + START_TIMEOUT_MS
    while (
      !(await fetch(`${prometheus.url}/-/ready`).then(
        (answer) => answer.ok,
        () => false,
      ))
    ) {
      if (Date.now() > deadline) throw new Error(`prometheus does not get ready: ${directory}/prometheus.log says why`)
      await delay(100)
    }
    return prometheus
  }

  /** What an expression gives now. */
  async query(expr: string): Promise<readonly Sample[]> {
    return this.#ask('query', { query: expr })
  }

  /** What it gave over the last `seconds`. */
  async queryRange(expr: string, seconds: number, step: number): Promise<readonly Sample[]> {
    const end = Date.now() / 1000
    return this.#ask('query_range', {
      query: expr,
      start: String(end - seconds),
      end: String(end),
      step: String(step),
    })
  }

  /** Rules that could not be evaluated. */
  async brokenRules(): Promise<readonly string[]> {
    const answer = (await (await fetch(`${this.url}/api/v1/rules`)).json()) as {
      data: { groups: readonly { rules: readonly { name: string; health: string; lastError?: string }[] }[] }
    }
    return answer.data.groups.flatMap(({ rules }) =>
      rules
        .filter(({ health }) => health !== 'ok')
        .map(({ name, health, lastError }) => `${name}: ${lastError ?? health}`),
    )
  }

  /** Pages of alerts that it does not serve. */
  async missingPages(): Promise<readonly string[]> {
    const urls = new Set(rules().flatMap(({ annotations }) => annotations?.runbook_url ?? []))
    const pages = await Promise.all(
      Array.from(urls, async (url) => {
        const { ok, status } = await fetch(url.replace('{{ $externalURL }}', this.url))
        return ok ? [] : [`${url}: ${status}`]
      }),
    )
    return pages.flat()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop()
  }

  async #ask(what: string, parameters: Record<string, string>): Promise<readonly Sample[]> {
    const response = await fetch(`${this.url}/api/v1/${what}?${new URLSearchParams(parameters).toString()}`)
    const answer = (await response.json()) as { status: string; error?: string; data: { result: readonly Sample[] } }
    if (answer.status !== 'success') throw new Error(`${parameters['query']}: ${answer.error}`)
    return answer.data.result
  }
}
