import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { BatchDocument, CommitRecord, DoneDocument, ErrorLine, OutputLine, ResultFile } from '@darkroom/proto'
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import type { Audit } from './verify-batch.ts'

/** done.json, output.jsonl and errors.jsonl against what the records said. */
export async function verifyFiles(
  store: ObjectStore,
  batch: BatchDocument,
  done: DoneDocument,
  audit: Audit,
): Promise<void> {
  const { rendered, failed, cancelled } = done.items
  if (rendered !== audit.counts.rendered || failed !== audit.counts.failed || cancelled !== audit.counts.cancelled) {
    audit.violate(
      `I1: done.json counts ${rendered}/${failed}/${cancelled} (rendered/failed/cancelled), the records ${audit.counts.rendered}/${audit.counts.failed}/${audit.counts.cancelled}`,
    )
  }
  if (done.images !== audit.images)
    audit.violate(`I3: done.json counts ${done.images} images, the records ${audit.images}`)
  const seen = new Set<number>()
  const once = (index: number, file: string): void => {
    if (seen.has(index)) audit.violate(`I1: item ${index} stands twice in the result files (${file})`)
    seen.add(index)
  }
  const recordOf = recordReader(store, batch.id)
  await eachLine<OutputLine>(store, done.output, audit, async (line) => {
    once(line.index, done.output.key)
    const record = await recordOf(line.shardId)
    const item = record?.kind === 'rendered' ? record.items.find(({ index }) => index === line.index) : undefined
    const { shardId: _, ...rest } = line
    if (JSON.stringify(item) !== JSON.stringify(rest))
      audit.violate(`I1: the line of item ${line.index} in output.jsonl is not what shard ${line.shardId} committed`)
  })
  await eachLine<ErrorLine>(store, done.errors, audit, async (line) => once(line.index, done.errors.key))
  if (done.output.lines !== audit.counts.rendered)
    audit.violate(`I1: output.jsonl has ${done.output.lines} lines for ${audit.counts.rendered} rendered items`)
}

/** Lines of one shard stand together: the last record is kept. */
function recordReader(store: ObjectStore, batchId: string): (shardId: string) => Promise<CommitRecord | null> {
  let last: { shardId: string; record: CommitRecord | null } | null = null
  return async (shardId) => {
    if (last?.shardId !== shardId)
      last = { shardId, record: await store.getJson<CommitRecord>(keys.result(batchId, shardId)) }
    return last.record
  }
}

async function eachLine<T>(
  store: ObjectStore,
  file: ResultFile,
  audit: Audit,
  visit: (line: T) => Promise<void>,
): Promise<void> {
  const object = await store.getStream(file.key)
  if (object === null) return audit.violate(`I1: ${file.key} is not there`)
  const hash = createHash('sha256')
  let lines = 0
  object.body.on('data', (chunk: Buffer) => hash.update(chunk))
  for await (const line of createInterface({ input: object.body })) {
    lines++
    await visit(JSON.parse(line) as T)
  }
  if (lines !== file.lines) audit.violate(`I1: ${file.key} has ${lines} lines, done.json says ${file.lines}`)
  if (hash.digest('hex') !== file.sha256) audit.violate(`I3: ${file.key} has other bytes than done.json says`)
}
