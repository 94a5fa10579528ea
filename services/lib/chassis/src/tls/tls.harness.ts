import { CertificateAuthority } from '@darkroom/local'
import type { CertificateFiles, CertificateOptions } from '@darkroom/local'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import { createLogger } from '../log.ts'
import type { Logger } from '../log.ts'
import { TlsFiles } from './tls-files.ts'

/** An authority and a folder for its certificates, gone with the test. */
export class TestAuthority {
  readonly folder: string
  readonly #authority = new CertificateAuthority('test')

  constructor() {
    this.folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-tls-'))
    onTestFinished(() => rmSync(this.folder, { recursive: true }))
  }

  issue(name: string, options?: CertificateOptions): CertificateFiles {
    return this.#authority.issue(this.folder, name, options)
  }

  /** A process of this role, as its variables make it. */
  member(role: string, options?: CertificateOptions): TlsFiles {
    return open(this.issue(role, { role, ...options }))
  }
}

export function open(
  { caFile, certFile, keyFile }: { caFile?: string; certFile?: string | null; keyFile?: string | null },
  log: Logger = createLogger('tls', 'silent'),
): TlsFiles {
  const values = { tlsCaFile: caFile ?? null, tlsCertFile: certFile ?? null, tlsKeyFile: keyFile ?? null }
  const files = TlsFiles.open(values, log)
  if (files === null) throw new Error('no files are named')
  onTestFinished(() => files[Symbol.dispose]())
  return files
}
