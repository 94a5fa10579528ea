import { credentials, experimental, ServerCredentials } from '@grpc/grpc-js'
import type { ChannelCredentials } from '@grpc/grpc-js'
import { checkServerIdentity } from 'node:tls'
import { DarkroomError } from '../errors.ts'
import { wrongServer } from '../tls/roles.ts'
import type { Role } from '../tls/roles.ts'
import type { TlsFiles, TlsMaterial } from '../tls/tls-files.ts'
import { TLS_VARIABLES } from '../variables.ts'

/** What a client needs to speak TLS: its files, and the role that the server's certificate must have. */
export interface ClientTls {
  readonly files: TlsFiles
  readonly server: Role
}

/**
 * Mutual TLS: who shows no certificate of the farm's authority gets no connection.
 * @throws DarkroomError INVALID_CONFIG where there are files, but no certificate of this process's own
 */
export function serverCredentials(files: TlsFiles | null): ServerCredentials {
  if (files === null) return ServerCredentials.createInsecure()
  if (files.material.identity === null) {
    const field = TLS_VARIABLES.tlsCertFile.name
    const message = `is required beside ${TLS_VARIABLES.tlsCaFile.name}: a server has to show a certificate`
    throw new DarkroomError('INVALID_CONFIG', `TLS cannot be set up: ${field}: ${message}`, {
      problems: [{ field, message }],
    })
  }
  const provider = new FilesProvider(files)
  return experimental.createCertificateProviderServerCredentials(provider, provider, true)
}

export function channelCredentials(tls: ClientTls | null): ChannelCredentials {
  if (tls === null) return credentials.createInsecure()
  const { files, server } = tls
  const provider = new FilesProvider(files)
  const identity = files.material.identity === null ? null : provider
  return experimental.createCertificateProviderChannelCredentials(provider, identity, {
    checkServerIdentity: (host, certificate) =>
      checkServerIdentity(host, certificate) ?? wrongServer(certificate, server),
  })
}

/** The same error; where TLS is likely the matter, with what to look at. OpenSSL and grpc-js only say that there is no connection. */
export function withRemedy(error: DarkroomError, tls: ClientTls | null): DarkroomError {
  const remedy = error.code === 'COORDINATOR_UNAVAILABLE' ? remedyOf(error.message, tls !== null) : null
  if (remedy === null) return error
  return new DarkroomError(error.code, `${error.message.trim()}; ${remedy}`, { cause: error })
}

function remedyOf(message: string, isSecure: boolean): string | null {
  const { tlsCaFile, tlsCertFile, tlsKeyFile } = TLS_VARIABLES
  const isDropped = /Failed to connect|ECONNRESET/u.test(message)
  if (!isSecure)
    return isDropped ? `where it wants TLS, set ${tlsCaFile.name}, ${tlsCertFile.name} and ${tlsKeyFile.name}` : null
  if (/wrong version number/u.test(message))
    return `it speaks no TLS: give it a certificate, or unset ${tlsCaFile.name} here`
  if (isDropped || /alert/u.test(message))
    return `it does not accept the certificate of ${tlsCertFile.name}, or the lack of one`
  return /certificate/u.test(message) ? `its certificate is checked against ${tlsCaFile.name}` : null
}

type CertificateProvider = experimental.CertificateProvider
type CaListener = Parameters<CertificateProvider['addCaCertificateListener']>[0]
type IdentityListener = Parameters<CertificateProvider['addIdentityCertificateListener']>[0]

/** Our files as grpc-js wants them told. */
class FilesProvider implements CertificateProvider {
  readonly #files: TlsFiles
  readonly #listeners = new Map<CaListener | IdentityListener, (material: TlsMaterial) => void>()

  constructor(files: TlsFiles) {
    this.#files = files
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#add(listener, ({ ca }) => listener({ caCertificate: ca }))
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#add(listener, ({ identity }) => listener(identity))
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#remove(listener)
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#remove(listener)
  }

  #add(key: CaListener | IdentityListener, tell: (material: TlsMaterial) => void): void {
    this.#listeners.set(key, tell)
    this.#files.watch(tell)
  }

  #remove(key: CaListener | IdentityListener): void {
    const tell = this.#listeners.get(key)
    if (tell !== undefined) this.#files.unwatch(tell)
    this.#listeners.delete(key)
  }
}
