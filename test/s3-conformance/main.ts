// Does an S3 endpoint do what the farm needs? Without arguments: the one of deploy/local.
//   node main.ts [--endpoint URL --bucket B --access-key K --secret-key S]
import { startS3Server } from '@darkroom/local/s3'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { runChecks } from './run-checks.ts'

async function checkLocal(): Promise<number> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'darkroom-s3-'))
  try {
    const keys = { accessKeyId: 'local', secretAccessKey: 'local-secret' }
    await using server = await startS3Server({ directory, ...keys, fsync: false })
    return await runChecks({ endpoint: server.url, bucket: 's3-conformance', ...keys })
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

const text = { type: 'string' } as const
const { values } = parseArgs({ options: { endpoint: text, bucket: text, 'access-key': text, 'secret-key': text } })
const { endpoint, bucket, 'access-key': accessKeyId, 'secret-key': secretAccessKey } = values
if (Object.keys(values).length === 0) {
  process.exitCode = (await checkLocal()) === 0 ? 0 : 1
} else if (!endpoint || !bucket || !accessKeyId || !secretAccessKey) {
  console.error('usage: node main.ts [--endpoint URL --bucket B --access-key K --secret-key S]: all four or none')
  process.exitCode = 2
} else {
  process.exitCode = (await runChecks({ endpoint, bucket, accessKeyId, secretAccessKey })) === 0 ? 0 : 1
}
