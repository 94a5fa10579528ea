import { ErrorCode, NatsError } from 'nats'
import type { ConnectionOptions } from 'nats'
import type { NatsConfig } from './nats.ts'
import { NATS_VARIABLES, TLS_VARIABLES } from './variables.ts'

const UNAUTHORIZED: string = ErrorCode.AuthorizationViolation
const NO_SUCH_OPTION: string = ErrorCode.ServerOptionNotAvailable
const TIMED_OUT: string = ErrorCode.Timeout

/** The client reads the files anew for each connection. */
export function tlsOptions({ servers, tls }: NatsConfig): Pick<ConnectionOptions, 'tls'> {
  if (!servers.includes('tls://')) return {}
  if (!tls) return { tls: {} }
  const { caFile, certFile, keyFile } = tls.paths
  return { tls: { caFile, ...(certFile !== null && keyFile !== null && { certFile, keyFile }) } }
}

/** What to do about a connection that was refused, as the end of a sentence; empty where nothing is known. */
export function remedyOf(reason: unknown, { servers }: NatsConfig): string {
  const { natsUrl, natsUser, natsPassword } = NATS_VARIABLES
  const code = reason instanceof NatsError ? reason.code : null
  if (code === UNAUTHORIZED)
    return `: check ${natsUser.name} and ${natsPassword.name} against the users of the nats-server`
  if (code === NO_SUCH_OPTION)
    return `: the nats-server offers no TLS; write nats:// in ${natsUrl.name}, or give the server a certificate`
  // A server that refuses a certificate just hangs up, which the client does not notice.
  if (code === TIMED_OUT && servers.includes('tls://'))
    return `: the nats-server may not accept the certificate of ${TLS_VARIABLES.tlsCertFile.name}, or the lack of one`
  const isUntrusted = reason instanceof Error && /certificate|self.signed|altnames|alert/iu.test(reason.message)
  if (isUntrusted && !servers.includes('tls://'))
    return `: the nats-server wants TLS; write tls:// in ${natsUrl.name}, and set ${TLS_VARIABLES.tlsCaFile.name}`
  return isUntrusted ? `: check ${TLS_VARIABLES.tlsCaFile.name} and the names in the server's certificate` : ''
}
