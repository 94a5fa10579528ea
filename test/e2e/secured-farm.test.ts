import { createGrpcClient, createLogger, DarkroomError, TlsFiles } from '@darkroom/chassis'
import { CertificateAuthority } from '@darkroom/local'
import type { FarmOptions } from '@darkroom/local'
import { CoordinatorService, WorkerLinkService, WorkerService } from '@darkroom/proto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { manyItems, startTestFarm } from './farm.harness.ts'

const ACCOUNTS = path.resolve(import.meta.dirname, '../../deploy/nats/accounts.conf')
const PASSWORDS: Record<string, string> = { coordinator: 'secret-c', 'worker-1': 'secret-1', 'worker-2': 'secret-2' }

/** Certificates of one authority for nats-server and every process, and NATS users of least rights. */
function security(): Required<Pick<FarmOptions, 'nats' | 'envOf'>> {
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

test('a certificate lets its holder do what its role is for, and no more', { timeout: 60_000 }, async () => {
  const { nats, envOf } = security()
  await using farm = await startTestFarm({ workers: 1, checkpoints: [], nats, envOf })
  const port = (name: string): string => `127.0.0.1:${farm.farm.program(name).ready.grpcPort}`
  const { coordinator, worker } = { coordinator: port('coordinator-0'), worker: port('worker-1') }
  await expectRights(filesOf(envOf, 'gateway'), { coordinator, worker }, ['list'])
  await expectRights(filesOf(envOf, 'worker-9'), { coordinator, worker }, ['attach'])
  await expectRights(filesOf(envOf, 'cli'), { coordinator, worker }, ['describe'])
  await expectRights(filesOf(envOf, 'coordinator-9'), { coordinator, worker }, [])
  using plain = createGrpcClient(CoordinatorService, coordinator, { defaultTimeoutMs: 5_000 })
  await expect(plain.listBatches({})).rejects.toMatchObject({ code: 'COORDINATOR_UNAVAILABLE' })
})

function filesOf(envOf: (name: string) => Record<string, string>, name: string): TlsFiles {
  const env = envOf(name)
  const values = {
    tlsCaFile: env['DARKROOM_TLS_CA_FILE']!,
    tlsCertFile: env['DARKROOM_TLS_CERT_FILE']!,
    tlsKeyFile: env['DARKROOM_TLS_KEY_FILE']!,
  }
  const files = TlsFiles.open(values, createLogger('test', 'silent'))!
  onTestFinished(() => files[Symbol.dispose]())
  return files
}

/** Of all that can be asked of a coordinator and a worker, exactly what is listed is answered; the rest is FORBIDDEN. */
async function expectRights(
  files: TlsFiles,
  addresses: { coordinator: string; worker: string },
  rights: readonly string[],
): Promise<void> {
  const options = { defaultTimeoutMs: 5_000 }
  const toCoordinator = { ...options, tls: { files, server: 'coordinator' as const } }
  using batches = createGrpcClient(CoordinatorService, addresses.coordinator, toCoordinator)
  using link = createGrpcClient(WorkerLinkService, addresses.coordinator, toCoordinator)
  using worker = createGrpcClient(WorkerService, addresses.worker, { ...options, tls: { files, server: 'worker' } })
  const attach = async (): Promise<void> => {
    const reports = (async function* () {
      yield { worker: { id: 'stranger', pool: 'default' } }
    })()
    for await (const _order of link.attach(reports, { timeoutMs: 5_000 })) return
  }
  const asked = {
    list: () => batches.listBatches({}),
    cancel: () => batches.cancelBatch({ batchId: 'any' }),
    attach,
    describe: () => worker.describe({}),
  }
  for (const [what, answer] of Object.entries(asked)) {
    const code = await (answer() as Promise<unknown>).then(
      () => 'answered',
      (reason: unknown) => DarkroomError.from(reason).code,
    )
    const isAllowed = rights.includes(what) || (what === 'cancel' && rights.includes('list'))
    if (isAllowed) expect({ what, code }).not.toMatchObject({ code: 'FORBIDDEN' })
    else expect({ what, code }).toEqual({ what, code: 'FORBIDDEN' })
  }
}
