import { copyFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { createLogger } from '../log.ts'
import { open, TestAuthority } from './tls.harness.ts'
import { TlsFiles } from './tls-files.ts'

const log = createLogger('tls', 'silent')

test('without any of the variables there is no TLS', () => {
  expect(TlsFiles.open({ tlsCaFile: null, tlsCertFile: null, tlsKeyFile: null }, log)).toBeNull()
})

test('an authority alone is enough to verify others with', () => {
  const { caFile } = new TestAuthority().issue('any')
  expect(open({ caFile }).material.identity).toBeNull()
})

test('half of a set of variables is an error that names the other half', () => {
  const { caFile, certFile, keyFile } = new TestAuthority().issue('any')
  expect(() => open({ caFile, certFile })).toThrow('DARKROOM_TLS_KEY_FILE: is required where DARKROOM_TLS_CERT_FILE')
  expect(() => open({ caFile, keyFile })).toThrow('DARKROOM_TLS_CERT_FILE: is required where DARKROOM_TLS_KEY_FILE')
  expect(() => open({ certFile, keyFile })).toThrow('DARKROOM_TLS_CA_FILE: is required too')
})

test('files of no use are errors that name variable, path and remedy, all at once', () => {
  const authority = new TestAuthority()
  const { caFile, certFile, keyFile } = authority.issue('any')
  const { keyFile: anotherKey } = authority.issue('another')
  const { certFile: old } = authority.issue('old', { expires: new Date(Date.now() - 60_000) })
  const nothing = path.join(authority.folder, 'nothing.pem')
  expect(() => open({ caFile: nothing, certFile, keyFile })).toThrow(
    `DARKROOM_TLS_CA_FILE: '${nothing}' cannot be read (ENOENT): name a PEM file that this user may read`,
  )
  expect(() => open({ caFile: keyFile, certFile: nothing, keyFile: certFile })).toThrow(
    expect.objectContaining({
      code: 'INVALID_CONFIG',
      problems: [
        { field: 'DARKROOM_TLS_CA_FILE', message: expect.stringContaining('holds no certificate: want PEM') },
        { field: 'DARKROOM_TLS_CERT_FILE', message: expect.stringContaining('cannot be read (ENOENT)') },
        { field: 'DARKROOM_TLS_KEY_FILE', message: expect.stringContaining('holds no private key that can be read') },
      ],
    }),
  )
  expect(() => open({ caFile, certFile, keyFile: anotherKey })).toThrow(
    `DARKROOM_TLS_KEY_FILE: '${anotherKey}' is not the key of the certificate in '${certFile}'`,
  )
  expect(() => open({ caFile, certFile: old, keyFile })).toThrow(/'.*old\.pem' holds a certificate that expired at/)
})

test('half of a new pair is not taken, nor is what cannot be read; the old one stays until both are there', () => {
  const authority = new TestAuthority()
  const { caFile, certFile, keyFile } = authority.issue('service')
  const files = open({ caFile, certFile, keyFile })
  const before = files.material
  const next = authority.issue('next')
  copyFileSync(next.certFile, certFile)
  files.reload()
  expect(files.material).toBe(before)
  copyFileSync(next.keyFile, keyFile)
  files.reload()
  const after = files.material
  expect(after).not.toEqual(before)
  writeFileSync(certFile, 'half a certif')
  files.reload()
  expect(files.material).toBe(after)
})
