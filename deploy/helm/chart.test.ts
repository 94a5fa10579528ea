import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { CHART, madeFiles } from './chart-files.ts'
import { CI_VALUES, helm, render, theOne } from './chart.harness.ts'
import type { KubernetesObject } from './chart.harness.ts'

const RUNBOOKS = path.resolve(import.meta.dirname, '../../docs/runbooks')

test('the schema, the tables of the README and the copied rules and dashboards are current: node deploy/helm/write.ts', () => {
  const made = madeFiles()
  for (const [name, content] of made)
    expect({ name, content: readFileSync(path.join(CHART, name), 'utf8') }).toEqual({ name, content })
})

test.for(Object.entries(CI_VALUES))('helm lint --strict has nothing to say of %s', async ([, file]) => {
  expect(await helm('lint', '--strict', CHART, '--values', file)).toContain('0 chart(s) failed')
})

test('the chart is packed with its templates and without its CI values', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-chart-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  await helm('package', CHART, '--destination', folder)
  const [archive] = readdirSync(folder)
  expect(archive).toBe('darkroom-0.1.0.tgz')
  expect(await helm('show', 'readme', path.join(folder, archive!))).toContain('# The Darkroom chart')
  expect((await helm('template', path.join(folder, archive!))).split('\nkind: ').length).toBeGreaterThan(10)
})

test('who installs it is told where the gateway is and what is open', async () => {
  const notesOf = (name: string): Promise<string> =>
    helm('install', 'farm', CHART, '--dry-run=client', '--values', CI_VALUES[name]!)
  expect(await notesOf('single-gpu')).toContain('\n  https://darkroom.example.com\n')
  expect(await notesOf('cpu-only')).toContain('port-forward service/farm-darkroom-gateway 8080:80')
  expect(await notesOf('cpu-only')).toContain('auth.mode is open')
  expect(await notesOf('external-nats')).not.toContain('auth.mode is open')
})

test('alerts link to where their pages are said to be, or say where in the repository they are', async () => {
  const linksOf = async (...options: readonly string[]): Promise<readonly string[]> => {
    const rules = theOne(await render('--set', 'monitoring.rules=true', ...options), 'PrometheusRule', '-darkroom')
    const all = rules['spec'].groups.flatMap((group: KubernetesObject) => group['rules'])
    return all.flatMap(
      ({ annotations }: { annotations?: Record<string, string> }) => annotations?.['runbook_url'] ?? [],
    )
  }
  const pages = readdirSync(RUNBOOKS)
  expect([...new Set(await linksOf())].sort()).toEqual(pages.map((page) => `docs/runbooks/${page}`).sort())
  const base = 'https://git.example.com/darkroom/docs/runbooks'
  for (const given of [base, `${base}/`])
    expect([...new Set(await linksOf('--set', `monitoring.runbookBaseUrl=${given}`))].sort()).toEqual(
      pages.map((page) => `${base}/${page}`).sort(),
    )
})

/** Options with which the chart must not be rendered, and what it says. */
const REFUSED: readonly (readonly [string, readonly string[], RegExp])[] = [
  ['a value that it does not know', ['--set', 'gatewey.replicas=2'], /'gatewey' not allowed/],
  ['a setting that no gateway has', ['--set', 'gateway.config.maxItem=2'], /'maxItem' not allowed/],
  [
    'a grace that a worker would refuse',
    ['--set', 'workers.pools.default.config.graceMs=60000'],
    /got 60,000, want 28,000/,
  ],
  ['a setting of another type', ['--set-string', 'coordinator.config.window=wide'], /got string, want integer/],
  ['a device that there is no image for', ['--set', 'workers.pools.default.device=tpu'], /'cpu', 'cuda'/],
  [
    'a pool whose name is no name in Kubernetes',
    ['--set', 'workers.pools.Big_Ones.replicas=1'],
    /does not match pattern/,
  ],
  ['no coordinator', ['--set', 'coordinator.replicas=0'], /minimum: got 0, want 1/],
  ['two servers of NATS, which can agree on nothing', ['--set', 'nats.replicas=2'], /must be one of 1, 3/],
  ['the tag latest', ['--set', 'image.tag=latest'], /'not' failed/],
  ['a digest that is none', ['--set', 'gateway.image.digest=sha256:abc'], /does not match pattern/],
  ['a quantity that is none', ['--set', 'workers.pools.default.cache.size=big'], /does not match pattern/],
  ['no NATS at all', ['--set', 'nats.enabled=false'], /externalNats.url is needed/],
  ['TLS without certificates', ['--set', 'tls.enabled=true'], /tls.existingSecrets.\w+ or tls.certManager.enabled/],
  ['a claim without a name', ['--set', 'workers.pools.default.cache.type=claim'], /cache.claimName is needed/],
]

test.for(REFUSED)('%s is refused with a reason', async ([, options, reason]) => {
  await expect(render(...options)).rejects.toThrow(reason)
})
