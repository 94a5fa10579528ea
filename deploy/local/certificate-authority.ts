import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { bits, boolean, integer, objectId, octets, sequence, set, tagged, time, utf8 } from './der.ts'

export interface CertificateFiles {
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
}

export interface CertificateOptions {
  /** Of the farm's roles: written into the certificate as the URI spiffe://darkroom/ROLE; none makes a stranger's. */
  readonly role?: string
  /** The certificate is good until then; by default for ten days. */
  readonly expires?: Date
}

/** What a certificate says of its holder, as cert-manager's Certificate has it. */
export interface CertificateRequest {
  readonly commonName: string
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  readonly uris?: readonly string[]
  /** Of cert-manager's usages; none leaves it open. */
  readonly usages?: readonly string[]
  readonly expires?: Date | undefined
}

/** Bits of keyUsage (RFC 5280, 4.2.1.3), the first being the highest. */
const KEY_USAGES: Readonly<Record<string, number>> = { 'digital signature': 0x80, 'key encipherment': 0x20 }
const EXTENDED_KEY_USAGES: Readonly<Record<string, string>> = {
  'server auth': '1.3.6.1.5.5.7.3.1',
  'client auth': '1.3.6.1.5.5.7.3.2',
}
const DAY_MS = 86_400_000
const ECDSA_WITH_SHA256 = sequence(objectId('1.2.840.10045.4.3.2'))

/** A certificate authority of a farm's own on loopback, in memory: for the tests, which need one without openssl. */
export class CertificateAuthority {
  readonly #name: Buffer
  readonly #key: KeyObject
  readonly pem: string

  constructor(name: string) {
    this.#name = commonName(name)
    const { privateKey, publicKey } = newKey()
    this.#key = privateKey
    const isAuthority = extension('2.5.29.19', sequence(boolean(true)), { isCritical: true })
    this.pem = this.#certify({ subject: this.#name, publicKey, extensions: [isAuthority] })
  }

  /** Writes NAME-ca.pem, NAME.pem and NAME-key.pem: a certificate for localhost and 127.0.0.1, server and client alike. */
  issue(folder: string, name: string, options: CertificateOptions = {}): CertificateFiles {
    const { key, certificate } = this.sign({
      commonName: name,
      dnsNames: ['localhost'],
      ipAddresses: ['127.0.0.1'],
      uris: options.role === undefined ? [] : [`spiffe://darkroom/${options.role}`],
      expires: options.expires,
    })
    const write = (suffix: string, text: string): string => {
      const file = path.join(folder, `${name}${suffix}.pem`)
      writeFileSync(file, text, { mode: 0o600 })
      return file
    }
    return {
      caFile: write('-ca', this.pem),
      certFile: write('', certificate),
      keyFile: write('-key', key),
    }
  }

  /**
   * Makes a key and certifies it.
   * @returns both as PEM
   * @throws Error for a usage that it does not know
   */
  sign(request: CertificateRequest): { readonly key: string; readonly certificate: string } {
    const { commonName: subject, dnsNames = [], ipAddresses = [], uris = [], usages = [], expires } = request
    const { privateKey, publicKey } = newKey()
    const names = [
      ...dnsNames.map((name) => tagged(2, Buffer.from(name), { isPrimitive: true })),
      ...ipAddresses.map((address) => tagged(7, Buffer.from(address.split('.').map(Number)), { isPrimitive: true })),
      ...uris.map((uri) => tagged(6, Buffer.from(uri), { isPrimitive: true })),
    ]
    const certificate = this.#certify({
      subject: commonName(subject),
      publicKey,
      extensions: [extension('2.5.29.17', sequence(...names)), ...usageExtensions(usages)],
      expires,
    })
    return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), certificate }
  }

  #certify(parts: { subject: Buffer; publicKey: KeyObject; extensions: Buffer[]; expires?: Date | undefined }): string {
    const { subject, publicKey, extensions, expires = new Date(Date.now() + 10 * DAY_MS) } = parts
    const begins = new Date(Math.min(Date.now(), expires.getTime()) - DAY_MS)
    const toBeSigned = sequence(
      tagged(0, integer(Buffer.from([2]))),
      // Positive, and never zero at its front.
      integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
      ECDSA_WITH_SHA256,
      this.#name,
      sequence(time(begins), time(expires)),
      subject,
      publicKey.export({ type: 'spki', format: 'der' }),
      tagged(3, sequence(...extensions)),
    )
    const certificate = sequence(toBeSigned, ECDSA_WITH_SHA256, bits(sign('sha256', toBeSigned, this.#key)))
    const lines = certificate.toString('base64').match(/.{1,64}/gu) ?? []
    return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
  }
}

function newKey(): { privateKey: KeyObject; publicKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

function commonName(name: string): Buffer {
  return sequence(set(sequence(objectId('2.5.4.3'), utf8(name))))
}

function usageExtensions(usages: readonly string[]): Buffer[] {
  const unknown = usages.find((usage) => !(usage in KEY_USAGES) && !(usage in EXTENDED_KEY_USAGES))
  if (unknown !== undefined) throw new Error(`no certificate is made here for '${unknown}'`)
  const keyUsage = usages.reduce((sum, usage) => sum | (KEY_USAGES[usage] ?? 0), 0)
  const extended = usages.flatMap((usage) => EXTENDED_KEY_USAGES[usage] ?? [])
  return [
    ...(keyUsage === 0
      ? []
      : [extension('2.5.29.15', bits(Buffer.from([keyUsage]), keyUsage & 0x20 ? 5 : 7), { isCritical: true })]),
    ...(extended.length === 0 ? [] : [extension('2.5.29.37', sequence(...extended.map(objectId)))]),
  ]
}

function extension(id: string, value: Buffer, { isCritical = false } = {}): Buffer {
  return sequence(objectId(id), ...(isCritical ? [boolean(true)] : []), octets(value))
}
