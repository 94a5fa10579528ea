/**
 * Every object key of the farm; the tree is drawn in ARCHITECTURE.md, "Who is the truth".
 * Numbers are zero-padded, so that listing order is numeric order.
 */
const five = (n: number): string => String(n).padStart(5, '0')

export const keys = {
  checkpointBlob: (hex: string) => `checkpoints/blobs/sha256/${hex}`,
  checkpointManifests: (name: string) => `checkpoints/manifests/${name}/`,
  checkpointManifest: (name: string, hex: string) => `checkpoints/manifests/${name}/${hex}.json`,
  checkpointTags: 'checkpoints/tags/',
  checkpointTag: (name: string, tag: string) => `checkpoints/tags/${name}/${tag}.json`,

  /** A tenant's picture that items start from, by its content: uploads and data URLs alike. */
  inputPicture: (tenant: string, hex: string) => `inputs/${tenant}/sha256/${hex}`,

  apiKeys: 'api-keys/',
  apiKey: (id: string) => `api-keys/${id}.json`,
  /** What signs addresses of pictures. */
  urlSecret: 'secrets/url-signing',

  /** Batches whose end is still to be told. */
  webhooksPending: 'webhooks/pending/',
  webhookPending: (batchId: string) => `webhooks/pending/${batchId}`,
  /** What came of telling it. */
  webhook: (batchId: string) => `batches/${batchId}/webhook.json`,
  /** Of a day, YYYY-MM-DD. */
  auditDay: (day: string) => `audit/${day}/`,
  auditEntry: (at: string, id: string) => `audit/${at.slice(0, 10)}/${at}-${id}.json`,
  /** What an Idempotency-Key stands for. */
  idempotency: (tenant: string, hex: string) => `idempotency/${tenant}/${hex}.json`,

  /** A note for each batch of a tenant that may have so many images a day (YYYY-MM-DD): BATCH-IMAGES. */
  dailyImages: (tenant: string, day: string) => `quota/${tenant}/${day}/`,

  openAiFiles: (tenant: string) => `openai/files/${tenant}/`,
  openAiFile: (tenant: string, fileId: string) => `openai/files/${tenant}/${fileId}/file.json`,
  openAiFileContent: (tenant: string, fileId: string) => `openai/files/${tenant}/${fileId}/content`,
  openAiBatches: (tenant: string) => `openai/batches/${tenant}/`,
  openAiBatchFolder: (tenant: string, batchId: string) => `openai/batches/${tenant}/${batchId}/`,
  openAiBatch: (tenant: string, batchId: string) => `openai/batches/${tenant}/${batchId}/request.json`,
  /** What became of the check of its input: written once. */
  openAiOutcome: (tenant: string, batchId: string) => `openai/batches/${tenant}/${batchId}/outcome.json`,
  /** Items whose pictures go into the output file: a bit for each; absent where none do. Written before the outcome. */
  openAiBase64Items: (tenant: string, batchId: string) => `openai/batches/${tenant}/${batchId}/base64-items`,
  /** Its results were deleted: 'output' or 'error'. */
  openAiDeleted: (tenant: string, batchId: string, file: string) =>
    `openai/batches/${tenant}/${batchId}/deleted-${file}`,
  /** Those whose input is being checked. */
  openAiPendingFolder: 'openai/pending/',
  openAiPending: (tenant: string, batchId: string) => `openai/pending/${tenant}/${batchId}`,

  batches: 'batches/',
  batchFolder: (batchId: string) => `batches/${batchId}/`,
  batch: (batchId: string) => `batches/${batchId}/batch.json`,
  inputFolder: (batchId: string) => `batches/${batchId}/input/`,
  inputPart: (batchId: string, part: number) => `batches/${batchId}/input/part-${five(part)}.ndjson`,
  planFolder: (batchId: string) => `batches/${batchId}/plan/`,
  planSegment: (batchId: string, segment: number) => `batches/${batchId}/plan/${five(segment)}.json`,
  imageFolder: (batchId: string) => `batches/${batchId}/images/`,
  image: (batchId: string, name: string) => `batches/${batchId}/images/${name}`,
  resultFolder: (batchId: string) => `batches/${batchId}/results/`,
  result: (batchId: string, shardId: string) => `batches/${batchId}/results/${shardId}.json`,
  /** Of the shards of a segment, and of their halves. */
  segmentResults: (batchId: string, segment: number) => `batches/${batchId}/results/${five(segment)}-`,
  progressFolder: (batchId: string) => `batches/${batchId}/progress/`,
  progress: (batchId: string, shardId: string) => `batches/${batchId}/progress/${shardId}`,
  cancel: (batchId: string) => `batches/${batchId}/cancel.json`,
  completed: (batchId: string) => `batches/${batchId}/completed.json`,
  control: (batchId: string) => `batches/${batchId}/control.json`,
  output: (batchId: string) => `batches/${batchId}/output.jsonl`,
  errors: (batchId: string) => `batches/${batchId}/errors.jsonl`,
  done: (batchId: string) => `batches/${batchId}/done.json`,

  ledger: 'ledger/',
  /** Days as YYYY-MM-DD, in UTC. */
  ledgerEntry: (day: string, batchId: string) => `ledger/${day}/${batchId}.json`,
  ledgerWorkers: 'ledger-workers/',
  /** Of one process of a worker: when it was started, RFC 3339 in UTC. */
  ledgerWorkerDay: (day: string, startedAt: string, workerId: string) =>
    `ledger-workers/${day}/${startedAt}-${encodeURIComponent(workerId)}.json`,
} as const

/** The day of a moment as keys have it: YYYY-MM-DD, in UTC. */
export function dayOf(moment: Date): string {
  return moment.toISOString().slice(0, 'YYYY-MM-DD'.length)
}

/** Names image `n` (from 0) of item `index` by its content: whoever loses a race never overwrites what was committed. */
export function imageName(index: number, n: number, sha256Hex: string, extension: string): string {
  return `${index}-${n}-${sha256Hex}.${extension}`
}

/** Names a shard after its plan segment, so that ids survive any restart. The halves of one that was split: halves.ts. */
export function shardIdOf(segment: number, number: number): string {
  return `${five(segment)}-${five(number)}`
}

/** Whether a key names an input picture: nothing else in the bucket may be read on a caller's word. */
export function isInputPictureKey(key: string): boolean {
  return /^inputs\/[a-z0-9-]{1,63}\/sha256\/[0-9a-f]{64}$/.test(key)
}

/** Whether a key names an input picture of this tenant: another's it may not use, nor learn that it is there. */
export function isInputPictureKeyOf(tenant: string, key: string): boolean {
  return isInputPictureKey(key) && key.startsWith(`inputs/${tenant}/`)
}
