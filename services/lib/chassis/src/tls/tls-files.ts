import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Values } from '../config.ts'
import { DarkroomError } from '../errors.ts'
import type { Problem } from '../errors.ts'
import type { Logger } from '../log.ts'
import { TLS_VARIABLES } from '../variables.ts'

interface TlsPaths {
  readonly caFile: string
  /** Null where this process only verifies others. */
  readonly certFile: string | null
  readonly keyFile: string | null
}

export interface TlsMaterial {
  readonly ca: Buffer
  /** The process's own certificate with its chain, and its key. */
  readonly identity: { readonly certificate: Buffer; readonly privateKey: Buffer } | null
}

const NAMES: Record<keyof TlsPaths, string> = {
  caFile: TLS_VARIABLES.tlsCaFile.name,
  certFile: TLS_VARIABLES.tlsCertFile.name,
  keyFile: TLS_VARIABLES.tlsKeyFile.name,
}
const RELOAD_MS = 5_000

/**
 * The certificates of this process, read at start and again every few seconds: what was replaced on disk serves new connections
 * as soon as all of it is usable, so that certificate and key need not change in the same instant.
 */
export class TlsFiles implements Disposable {
  readonly paths: TlsPaths
  readonly #log: Logger
  readonly #listeners = new Set<(material: TlsMaterial) => void>()
  readonly #timer: NodeJS.Timeout
  #material: TlsMaterial
  #complaint = ''

  private constructor(paths: TlsPaths, material: TlsMaterial, log: Logger) {
    this.paths = paths
    this.#material = material
    this.#log = log
    this.#timer = setInterval(() => this.reload(), RELOAD_MS).unref()
  }

  /**
   * @returns null where none of the three variables is set: no TLS
   * @throws DarkroomError INVALID_CONFIG that names each variable whose file is of no use, the file, and what to do
   */
  static open(values: Values<typeof TLS_VARIABLES>, log: Logger): TlsFiles | null {
    const { tlsCaFile: caFile, tlsCertFile: certFile, tlsKeyFile: keyFile } = values
    if (caFile === null && certFile === null && keyFile === null) return null
    const missing: Problem[] = []
    if (caFile === null) missing.push({ field: NAMES.caFile, message: 'is required too: it tells whom to believe' })
    if (certFile === null && keyFile !== null)
      missing.push({ field: NAMES.certFile, message: `is required where ${NAMES.keyFile} is set` })
    if (keyFile === null && certFile !== null)
      missing.push({ field: NAMES.keyFile, message: `is required where ${NAMES.certFile} is set` })
    if (caFile === null || missing.length > 0) throw unusable(missing)
    const paths = { caFile, certFile, keyFile }
    return new TlsFiles(paths, read(paths), log)
  }

  get material(): TlsMaterial {
    return this.#material
  }

  /** Calls with what there is, once the caller has returned, and again whenever it changes. */
  watch(listener: (material: TlsMaterial) => void): void {
    this.#listeners.add(listener)
    queueMicrotask(() => {
      if (this.#listeners.has(listener)) listener(this.#material)
    })
  }

  unwatch(listener: (material: TlsMaterial) => void): void {
    this.#listeners.delete(listener)
  }

  /** What is of no use is complained of once; what there was stays in use. */
  reload(): void {
    try {
      const next = read(this.paths)
      this.#complaint = ''
      if (isSame(next, this.#material)) return
      this.#material = next
      for (const listener of this.#listeners) listener(next)
      this.#log.info({ certFile: this.paths.certFile }, 'took new certificates')
    } catch (err) {
      const { message } = err as Error
      if (message !== this.#complaint) this.#log.error({ err }, 'the new certificates are of no use; the old stay')
      this.#complaint = message
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}

function read({ caFile, certFile, keyFile }: TlsPaths): TlsMaterial {
  const problems: Problem[] = []
  const load = (key: keyof TlsPaths, file: string, check: (bytes: Buffer) => void): Buffer | null => {
    try {
      const bytes = readFileSync(file)
      check(bytes)
      return bytes
    } catch (reason) {
      const { code, message } = reason as NodeJS.ErrnoException
      const isUnread = code === 'ENOENT' || code === 'EACCES' || code === 'EISDIR'
      const what = isUnread ? `cannot be read (${code}): name a PEM file that this user may read` : message
      problems.push({ field: NAMES[key], message: `'${file}' ${what}` })
      return null
    }
  }
  const ca = load('caFile', caFile, checkCertificate)
  const certificate = certFile === null ? null : load('certFile', certFile, checkCertificate)
  const privateKey = keyFile === null ? null : load('keyFile', keyFile, checkKey)
  if (certificate !== null && privateKey !== null && !belongTogether(certificate, privateKey)) {
    const message = `'${keyFile}' is not the key of the certificate in '${certFile}': take both from the same issue`
    problems.push({ field: NAMES.keyFile, message })
  }
  if (ca === null || problems.length > 0) throw unusable(problems)
  return { ca, identity: certificate === null || privateKey === null ? null : { certificate, privateKey } }
}

function checkCertificate(bytes: Buffer): void {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(bytes)
  } catch {
    throw new Error('holds no certificate: want PEM, -----BEGIN CERTIFICATE-----')
  }
  if (Date.parse(certificate.validTo) < Date.now())
    throw new Error(`holds a certificate that expired at ${certificate.validTo}: issue a new one`)
}

function checkKey(bytes: Buffer): void {
  try {
    createPrivateKey(bytes)
  } catch {
    throw new Error('holds no private key that can be read: want PEM without a passphrase, -----BEGIN PRIVATE KEY-----')
  }
}

function belongTogether(certificate: Buffer, privateKey: Buffer): boolean {
  return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(privateKey))
}

function isSame(one: TlsMaterial, other: TlsMaterial): boolean {
  const bytes = ({ ca, identity }: TlsMaterial): Buffer =>
    Buffer.concat([ca, identity?.certificate ?? Buffer.alloc(0), identity?.privateKey ?? Buffer.alloc(0)])
  return bytes(one).equals(bytes(other))
}

function unusable(problems: readonly Problem[]): DarkroomError {
  const lines = problems.map(({ field, message }) => `${field}: ${message}`)
  return new DarkroomError('INVALID_CONFIG', `TLS cannot be set up: ${lines.join('; ')}`, { problems })
}
