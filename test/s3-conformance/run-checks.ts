import { S3Client } from '@aws-sdk/client-s3'
import { ObjectStore } from '@darkroom/chassis'
import { randomUUID } from 'node:crypto'
import { CHECKS } from './checks.ts'

export interface Endpoint {
  readonly endpoint: string
  readonly bucket: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** What an endpoint is known to do otherwise: by the name of a check that is not vital, why. */
export type Differences = ReadonlyMap<string, string>

async function outcome(run: () => Promise<void>): Promise<Error | null> {
  try {
    await run()
    return null
  } catch (reason) {
    return reason instanceof Error ? reason : new Error(String(reason))
  }
}

/**
 * Runs every check, a line each, and then the count. A known difference that is gone is a failure too, so that the list
 * of differences stays true.
 * @returns how many failed
 */
export async function runChecks(target: Endpoint, differences: Differences = new Map()): Promise<number> {
  const { endpoint, bucket, accessKeyId, secretAccessKey } = target
  for (const name of differences.keys()) {
    if (CHECKS.find((check) => check.name === name)?.isVital !== false)
      throw new Error(`'${name}' cannot be excused: no check, or one that the farm depends on`)
  }
  const region = 'us-east-1'
  using store = ObjectStore.open({ ...target, region, forcePathStyle: true })
  const credentials = { accessKeyId, secretAccessKey }
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true, maxAttempts: 1 })
  const counts = { passed: 0, failed: 0, different: 0 }
  await store.ensureBucket()
  for (const check of CHECKS) {
    const { name } = check
    const prefix = `s3-conformance/${randomUUID()}/`
    const failure = await outcome(() => check.run({ store, client, bucket, prefix }))
    const difference = differences.get(name)
    if (failure === null && difference === undefined) {
      counts.passed++
      console.log(`pass       ${name}`)
    } else if (failure !== null && difference !== undefined) {
      counts.different++
      console.log(`different  ${name}\n           ${difference}\n           seen: ${failure.message.split('\n')[0]}`)
    } else {
      counts.failed++
      const detail = failure?.message ?? `it passes, so this difference is no longer one: ${difference}`
      console.log(`FAIL       ${name}\n${detail.replaceAll(/^/gm, '           ')}`)
    }
    const left: string[] = []
    for await (const { key } of store.list(prefix)) left.push(key)
    await store.deleteMany(left)
  }
  client.destroy()
  const different = counts.different === 0 ? '' : `, ${counts.different} known to differ`
  console.log(`${counts.passed} passed, ${counts.failed} failed${different}`)
  return counts.failed
}
