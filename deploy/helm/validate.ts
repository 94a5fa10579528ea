import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { CI_VALUES, renderText } from './chart.harness.ts'

/**
 * `npm run kubernetes-validate`: holds what the CI values render against Kubernetes' own schemas, strictly, by the tool of that
 * name (PyPI): for the oldest version that the chart takes and for one of now. Objects of others' APIs are held by the tests.
 */
const KUBERNETES_VALIDATE = 'kubernetes-validate==1.37.0'
const VERSIONS = ['1.30', '1.37']
/** API groups of their own names are Kubernetes' where they have no dot, or end so. */
const OWN_GROUP = /^(v1|[a-z]+\/v\w+|[a-z.]+\.k8s\.io\/v\w+)$/
const GATEWAY_API = 'gateway.networking.k8s.io/'

const venv = path.resolve(import.meta.dirname, '../../.cache/kubernetes-validate')
const program = path.join(venv, 'bin/kubernetes-validate')
if (!existsSync(program)) {
  execFileSync('python3', ['-m', 'venv', venv], { stdio: 'inherit' })
  execFileSync(path.join(venv, 'bin/pip'), ['install', '--quiet', KUBERNETES_VALIDATE], { stdio: 'inherit' })
}

const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-manifests-'))
try {
  let count = 0
  for (const [name, values] of Object.entries(CI_VALUES)) {
    const documents = (await renderText('--values', values)).split(/^---$/m).filter(isOwn)
    for (const version of VERSIONS) {
      const errors = errorsIn(documents, version)
      if (errors !== '') fail(`${name}:\n${errors}`)
      count += documents.length
    }
    const misspelt = documents.map((text) => text.replace('readinessProbe:', 'readynessProbe:'))
    if (!errorsIn(misspelt, VERSIONS[0]!).includes('readynessProbe')) fail(`${name}: a misspelt field was not found`)
  }
  console.log(`${count} times an object was held against Kubernetes ${VERSIONS.join(' or ')}`)
} finally {
  rmSync(folder, { recursive: true })
}

function isOwn(document: string): boolean {
  const apiVersion = /^apiVersion: (.*)$/m.exec(document)?.[1] ?? ''
  return OWN_GROUP.test(apiVersion) && !apiVersion.startsWith(GATEWAY_API)
}

/** The text that helm writes, so that quotes count: off is no word without them. */
function errorsIn(documents: readonly string[], version: string): string {
  const file = path.join(folder, 'objects.yaml')
  writeFileSync(file, documents.join('---\n'))
  const args = ['--strict', '--no-warn', '--kubernetes-version', version, file]
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  const errors = (stdout + stderr).split('\n').filter((line) => line.startsWith('ERROR'))
  return status === 0 ? '' : errors.join('\n') || `kubernetes-validate ended with ${status}: ${stderr}`
}

function fail(finding: string): void {
  console.error(finding)
  process.exitCode = 1
}
