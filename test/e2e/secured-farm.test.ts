import { CertificateAuthority } from '@darkroom/local'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { manyItems, startTestFarm } from './farm.harness.ts'

const ACCOUNTS = path.resolve(import.meta.dirname, '../../deploy/nats/accounts.conf')
const PASSWORDS: Record<string, string> = { coordinator: 'secret-c', 'worker-1': 'secret-1', 'worker-2': 'secret-2' }

/** Certificates of one authority for nats-server and every process, and NATS users of least rights. */
function security(): Pick<NonNullable<Parameters<typeof startTestFarm>[0]>, 'nats' | 'envOf'> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-secured-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const authority = new CertificateAuthority('farm')
  const nats = authority.issue(folder, 'nats')
  const configFile = path.join(folder, 'nats.conf')
  mkdirSync(path.join(folder, 'accounts'))
  writeFileSync(path.join(folder, 'accounts', 'accounts.conf'), readFileSync(ACCOUNTS))
  const tls = `tls { ca_file: "${nats.caFile}", cert_file: "${nats.certFile}", key_file: "${nats.keyFile}", verify: true }`
  writeFileSync(configFile, `include "accounts/accounts.conf"\n${tls}\n`)
  return {
    nats: {
      configFile,
      scheme: 'tls',
      env: Object.fromEntries(
        Object.entries(PASSWORDS).map(([user, password]) => [
          `DARKROOM_NATS_PASSWORD_${user.toUpperCase().replace('-', '_')}`,
          password,
        ]),
      ),
    },
    envOf: (name) => {
      const role = name.replace(/-\d+$/u, '')
      const { caFile, certFile, keyFile } = authority.issue(folder, name, { role })
      const user = role === 'coordinator' ? role : name
      return {
        DARKROOM_TLS_CA_FILE: caFile,
        DARKROOM_TLS_CERT_FILE: certFile,
        DARKROOM_TLS_KEY_FILE: keyFile,
        ...(PASSWORDS[user] !== undefined && {
          DARKROOM_NATS_USER: user,
          DARKROOM_NATS_PASSWORD: PASSWORDS[user],
        }),
      }
    },
  }
}

test(
  'a farm whose every connection has TLS, a certificate and a user of least rights renders a batch, also after NATS was lost',
  { timeout: 90_000 },
  async () => {
    await using farm = await startTestFarm({ workers: 2, coordinators: 2, ...security() })
    const first = await farm.gateway.submitJson({ items: manyItems(8, 4) })
    expect(await farm.end(first.id)).toMatchObject({ state: 'completed' })
    await farm.farm.wipeNats()
    const second = await farm.gateway.submitJson({ items: manyItems(8, 4) })
    expect(await farm.end(second.id)).toMatchObject({ state: 'completed' })
    for (const { id } of [first, second]) expect((await farm.verify(id)).violations).toEqual([])
    const log = readFileSync(path.join(farm.farm.directory, 'nats', 'nats-server.log'), 'utf8')
    expect(log.split('\n').filter((line) => /violation/iu.test(line))).toEqual([])
  },
)
