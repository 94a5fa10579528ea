import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { CommitRecord, DoneDocument, ErrorLine, ItemResult, OutputLine, ResultFile } from '@darkroom/proto'
import { createHash } from 'node:crypto'
import { linesOf } from '../lines.ts'
import type { Audit } from './audit.ts'

/** done.json, output.jsonl and errors.jsonl against what the records said; items that were never planned have no line. */
export async function verifyFiles(
  store: ObjectStore,
  batchId: string,
  done: DoneDocument,
  unplannedItems: number,
  audit: Audit,
): Promise<void> {
  const { rendered, failed, cancelled } = audit.counts
  const said = done.items
  audit.check(
    said.rendered === rendered && said.failed === failed && said.cancelled === cancelled,
    `I1: done.json counts ${said.rendered}/${said.failed}/${said.cancelled} (rendered/failed/cancelled), the records ${rendered}/${failed}/${cancelled}`,
  )
  audit.check(done.images === audit.images, `I3: done.json counts ${done.images} images, the records ${audit.images}`)
  const { imagesFailed = 0 } = done
  audit.check(
    imagesFailed === audit.imagesFailed,
    `I3: done.json counts ${imagesFailed} failed images, the records ${audit.imagesFailed}`,
  )
  audit.check(done.shards === audit.shards, `I4: done.json counts ${done.shards} shards, the plan ${audit.shards}`)
  const seen = new Set<number>()
  const once = (index: number): void => {
    audit.check(!seen.has(index), `I1: item ${index} stands twice in the result files`)
    seen.add(index)
  }
  const recordOf = recordReader(store, batchId)
  await eachLine(store, done.output, audit, async (parsed) => {
    const { shardId, ...line } = parsed as OutputLine
    once(line.index)
    const committed = itemOf(await recordOf(shardId), line.index)
    audit.check(
      JSON.stringify(committed) === JSON.stringify(line),
      `I1: the line of item ${line.index} in output.jsonl is not what shard ${shardId} committed`,
    )
  })
  await eachLine(store, done.errors, audit, async (parsed) => {
    const line = parsed as ErrorLine
    once(line.index)
    const record = await recordOf(line.shardId)
    const state = record?.kind === 'rendered' ? itemOf(record, line.index)?.state : record?.kind
    audit.check(
      state === line.state,
      `I1: errors.jsonl calls item ${line.index} ${line.state}, shard ${line.shardId} committed ${state ?? 'nothing'}`,
    )
  })
  audit.check(
    done.output.lines === rendered,
    `I1: output.jsonl has ${done.output.lines} lines for ${rendered} rendered items`,
  )
  const ended = failed + cancelled - unplannedItems
  audit.check(
    done.errors.lines === ended,
    `I1: errors.jsonl has ${done.errors.lines} lines for ${ended} failed or cancelled items`,
  )
}

function itemOf(record: CommitRecord | null, index: number): ItemResult | undefined {
  return record?.kind === 'rendered' ? record.items.find((item) => item.index === index) : undefined
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

async function eachLine(
  store: ObjectStore,
  file: ResultFile,
  audit: Audit,
  visit: (line: unknown) => Promise<void>,
): Promise<void> {
  const object = await store.getStream(file.key)
  if (object === null) return audit.violate(`I1: ${file.key} is not there`)
  const hash = createHash('sha256')
  let lines = 0
  for await (const line of linesOf(object.body)) {
    hash.update(line).update('\n')
    lines++
    const parsed = audit.parse(line, file.key)
    if (parsed !== null) await visit(parsed)
  }
  audit.check(lines === file.lines, `I1: ${file.key} has ${lines} lines, done.json says ${file.lines}`)
  audit.check(hash.digest('hex') === file.sha256, `I3: ${file.key} has other bytes than done.json says`)
}
