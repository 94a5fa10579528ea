import { lookup } from 'node:dns'
import type { LookupAddress } from 'node:dns'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { BlockList, isIP, isIPv6 } from 'node:net'
import type { LookupFunction } from 'node:net'

const TIMEOUT_MS = 10_000

/** Addresses that are of this machine, of a network of its owner's, or of nobody. RFC 6890. */
const PRIVATE = new BlockList()
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const)
  PRIVATE.addSubnet(network, bits, 'ipv4')
for (const [network, bits] of [
  ['::', 127],
  ['::ffff:0:0', 96],
  ['64:ff9b::', 96],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  PRIVATE.addSubnet(network, bits, 'ipv6')

function isPrivateAddress(address: string): boolean {
  return PRIVATE.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

/** Looks a name up and refuses it where any of its addresses is private: what was looked at is what is connected to. */
const publicLookup: LookupFunction = (host, options, callback) => {
  lookup(host, { ...options, all: true }, (error, found: LookupAddress[]) => {
    const wrong = error === null ? found.find(({ address }) => isPrivateAddress(address)) : undefined
    if (error !== null) callback(error, '', 0)
    else if (wrong !== undefined) callback(refusal(host, wrong.address), '', 0)
    else if (options.all === true) callback(null, found)
    else callback(null, found[0]!.address, found[0]!.family)
  })
}

/**
 * Sends a body once, and follows no redirect. @throws Error a plain sentence, where the answer is no 2xx, does not come within ten
 * seconds, or the address is not to be reached
 */
export function post(
  url: string,
  body: string,
  headers: Readonly<Record<string, string>>,
  options: { readonly mayBePrivate: boolean; readonly signal: AbortSignal },
): Promise<void> {
  const { protocol, hostname } = new URL(url)
  const host = hostname.replaceAll(/^\[|\]$/g, '')
  const { mayBePrivate } = options
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(TIMEOUT_MS)])
  if (!mayBePrivate && protocol !== 'https:') return Promise.reject(new Error(`${url} is not https`))
  // A name is looked up, a number is not.
  if (!mayBePrivate && isIP(host) !== 0 && isPrivateAddress(host)) return Promise.reject(refusal(host, host))
  return new Promise((resolve, reject) => {
    const send = protocol === 'https:' ? requestHttps : requestHttp
    const sent = send(
      url,
      {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers },
        signal,
        ...(!mayBePrivate && { lookup: publicLookup }),
      },
      (response) => {
        response.resume()
        const { statusCode = 0 } = response
        if (statusCode >= 200 && statusCode < 300) resolve()
        else reject(new Error(`${url} answered ${statusCode}`))
      },
    )
    sent.once('error', reject)
    sent.end(body)
  })
}

function refusal(host: string, address: string): Error {
  return new Error(
    `${host} is ${address}, an address of a private network: DARKROOM_COORDINATOR_WEBHOOK_PRIVATE allows it`,
  )
}
