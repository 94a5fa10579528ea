import { CertificateAuthority } from '@darkroom/local'
import type { KubernetesObject } from '../chart.harness.ts'
import type { Data } from '../environment.harness.ts'

/**
 * The secrets that cert-manager would make of a chart's Certificate objects, with an authority of their own.
 * @param ipAddresses further addresses of a certificate, by the name of its secret
 */
export function issueCertificates(
  objects: readonly KubernetesObject[],
  ipAddresses: Readonly<Record<string, readonly string[]>>,
): Data {
  const authority = new CertificateAuthority('cluster')
  const certificates = objects.filter(({ kind }) => kind === 'Certificate')
  return Object.fromEntries(
    certificates.map(({ spec }) => {
      const { secretName, commonName, dnsNames, uris, usages } = spec
      const addresses = ipAddresses[secretName] ?? []
      const { key, certificate } = authority.sign({ commonName, dnsNames, uris, usages, ipAddresses: addresses })
      return [secretName, { 'ca.crt': authority.pem, 'tls.crt': certificate, 'tls.key': key }]
    }),
  )
}
