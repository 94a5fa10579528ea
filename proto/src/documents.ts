/**
 * The JSON documents under `batches/ID/` and `checkpoints/`, all immutable but tags.
 * Times are RFC 3339 in UTC. Keys: keys.ts.
 */
import type { Item } from '../gen/darkroom/v1/item_pb.ts'
import type { ItemRanges } from './item-ranges.ts'

/** Items in one plan segment; input parts end at multiples of it, so that a segment is one ranged read of one part. */
export const SEGMENT_ITEMS = 1024

/** Fields that a line leaves out where nobody gave them. */
type OptionalField =
  | 'timesteps'
  | 'sigmas'
  | 'image'
  | 'maskImage'
  | 'depthMap'
  | 'originalSize'
  | 'cropsCoordsTopLeft'
  | 'targetSize'
  | 'refiner'
  | 'previewEvery'
  | 'previewMode'
  | 'safetyChecker'
  | 'outputFormat'

/** One line of an input part: the JSON form of `Item`, with `schedulerConfig` as a plain object and `seed` as a number. */
export type ItemLine = Omit<Item, '$typeName' | '$unknown' | 'seed' | 'schedulerConfig' | OptionalField> &
  Partial<Pick<Item, OptionalField>> & {
    seed: number
    schedulerConfig: Record<string, unknown>
  }

export interface InputPart {
  readonly key: string
  readonly firstItem: number
  readonly itemCount: number
  readonly bytes: number
  readonly sha256: string
  /** Byte offset of each segment's first line in the part. */
  readonly segmentOffsets: readonly number[]
}

/** batch.json: written last at acceptance, never again. */
export interface BatchDocument {
  readonly id: string
  readonly tenant: string
  readonly createdAt: string
  readonly itemCount: number
  /** Sum of the items' numImages. */
  readonly imageCount: number
  /** The same by scheduler: `schedulerImagesOf` reads it; absent in documents from before it was counted. */
  readonly schedulerImages?: Readonly<Record<string, number>>
  /** Pins of every checkpoint that an item names. */
  readonly checkpoints: readonly string[]
  readonly parts: readonly InputPart[]
  /** The caller's own: at most 16 pairs, keys up to 64, values up to 512 characters. */
  readonly metadata: Readonly<Record<string, string>>
  readonly traceparent: string
  /** The batch whose items it renders again; absent: none. */
  readonly retryOf?: string
  /** Somebody waits for it: it goes before all batches; absent: nobody does. */
  readonly isInteractive?: true
  /** What is not rendered by then is cancelled; absent: never. */
  readonly expiresAt?: string
  /** Who is told of its end; absent: nobody. */
  readonly webhook?: { readonly url: string }
  /** So many of its first items are rendered before the others, which wait for a yes; absent: nobody is asked. */
  readonly approveAfter?: number
  /** What its workers must have; absent: nothing in particular. */
  readonly needs?: { readonly deviceKind?: string; readonly tags?: readonly string[] }
}

export interface PlannedShard {
  readonly id: string
  readonly checkpoint: string
  readonly task: string
  readonly width: number
  readonly height: number
  /** Item indices, ascending. */
  readonly items: readonly number[]
}

/** plan/NNNNN.json: how items firstItem … firstItem + itemCount - 1 are cut into shards. Each item is in exactly one. */
export interface PlanSegment {
  readonly batchId: string
  readonly segment: number
  readonly firstItem: number
  readonly itemCount: number
  readonly shards: readonly PlannedShard[]
  /** The batch was cancelled first: nothing of this segment or of a later one will ever be planned. No shards then. */
  readonly isClosed?: true
}

export interface RenderedImage {
  /** 0 … numImages - 1. */
  readonly n: number
  readonly seed: number
  /** Last part of the object key, ITEM-N-HASH.EXTENSION. */
  readonly name: string
  readonly sha256: string
  readonly bytes: number
  readonly width: number
  readonly height: number
  /** Whether the checkpoint's safety checker blacked it out; absent where none judged it. */
  readonly nsfwContentDetected?: boolean
}

/** An image that could not be rendered, of an item that has others. */
export interface FailedImage {
  readonly n: number
  readonly seed: number
  readonly code: string
  readonly message: string
  /** Of the device, until it failed; absent in records from before these were counted. */
  readonly seconds?: number
}

/** What became of one item inside a `rendered` record. */
export type ItemResult =
  | {
      readonly index: number
      readonly customId: string
      readonly state: 'rendered'
      readonly scheduler: string
      readonly numInferenceSteps: number
      /** Model calls that were made for its images; absent in records from before they were counted. */
      readonly steps?: number
      /** At least one. */
      readonly images: readonly RenderedImage[]
      /** Those that are missing among its images; absent where none is. */
      readonly failedImages?: readonly FailedImage[]
      /** Engine seconds that its images took, failed ones too: their share of each UNet call. */
      readonly seconds: number
      readonly warnings: readonly string[]
    }
  | {
      readonly index: number
      readonly customId: string
      /** Cancelled: somebody asked for that before it had ended. */
      readonly state: 'failed' | 'cancelled'
      readonly code: string
      readonly message: string
      /** These two are absent in records from before they were counted. */
      readonly scheduler?: string
      /** Engine seconds that its images took until they failed. */
      readonly seconds?: number
    }

/** What is said of an item that somebody cancelled, alone or with its batch. */
export const CANCELLED = { state: 'cancelled', code: 'CANCELLED', message: 'it was cancelled' } as const

interface RecordBase {
  readonly batchId: string
  readonly shardId: string
  readonly attempt: number
  /**
   * Attempts that had failed by then, or were lost with their workers, as far as the leader knew; not those that others took over or
   * that were handed back. Absent in records from before they were counted.
   */
  readonly failedAttempts?: number
  readonly committedAt: string
}

/** results/SHARD.json: the one conditional write that ends a shard. */
export type CommitRecord =
  | (RecordBase & {
      readonly kind: 'rendered'
      readonly workerId: string
      readonly checkpoint: string
      readonly startedAt: string
      /** Seconds of the device that this shard's rows took. */
      readonly deviceSeconds: number
      /** Seconds that checkpoints were fetched and loaded for this shard; absent where its worker had them. */
      readonly loadSeconds?: number
      readonly items: readonly ItemResult[]
    })
  | (RecordBase & { readonly kind: 'cancelled'; readonly itemCount: number })
  | (RecordBase & {
      readonly kind: 'failed'
      readonly itemCount: number
      readonly code: string
      readonly message: string
    })
  /** Superseded by its two halves, which have records of their own. */
  | (RecordBase & { readonly kind: 'split'; readonly into: readonly [string, string] })

/** cancel.json: somebody asked for the batch's end; survives a restart of the coordinator. */
export interface CancelDocument {
  readonly batchId: string
  readonly requestedAt: string
  /** Absent where somebody asked for it. */
  readonly reason?: 'expired'
}

/** webhook.json: what came of telling a batch's end. */
export interface WebhookDocument {
  readonly url: string
  /** Null: it was given up. */
  readonly deliveredAt: string | null
  /** Of the coordinator that ended it. */
  readonly attempts: number
  readonly error?: string
}

/** control.json: what an operator has changed of an open batch; overwritten by the next change. */
export interface ControlDocument {
  readonly batchId: string
  /** Among the open batches of its tenant the higher goes first. */
  readonly priority: number
  readonly isPaused: boolean
  /** When it is wanted; absent: nobody said. */
  readonly completeBy?: string
  /** Somebody said yes to its first items; absent: not yet. */
  readonly isApproved?: true
  /** These do not start; absent: none. */
  readonly pausedItems?: ItemRanges
  /** What of these had not ended is not rendered; absent: none. It only grows. */
  readonly cancelledItems?: ItemRanges
  readonly updatedAt: string
}

/**
 * completed.json: what the records of completed segments sum to, so that a restart reads those of the others only. Overwritten
 * now and then; always true, and never all there is.
 */
export interface CompletedDocument {
  readonly batchId: string
  readonly startedAt: string | null
  /** Segments 0 … plannedSegments - 1 are planned; of these all but `openSegments` have every record. */
  readonly plannedSegments: number
  readonly openSegments: readonly number[]
  readonly shards: number
  readonly counts: {
    readonly rendered: number
    readonly failed: number
    readonly cancelled: number
    readonly images: number
    readonly imagesFailed: number
    readonly imagesFlagged: number
    readonly itemsWarned: number
  }
  readonly schedulers: readonly { scheduler: string; images: number; steps: number; seconds: number }[]
}

export interface ResultFile {
  readonly key: string
  readonly lines: number
  readonly bytes: number
  readonly sha256: string
}

/** done.json: the batch's end, written after its output files. The three counts sum to the accepted items. */
export interface DoneDocument {
  readonly batchId: string
  readonly state: 'completed' | 'cancelled'
  readonly startedAt: string | null
  readonly endedAt: string
  readonly items: { readonly rendered: number; readonly failed: number; readonly cancelled: number }
  readonly images: number
  /** The next three are absent in documents from before they were counted. */
  readonly imagesFailed?: number
  readonly imagesFlagged?: number
  /** Rendered items with a warning. */
  readonly itemsWarned?: number
  readonly shards: number
  readonly schedulers: readonly { scheduler: string; images: number; steps: number; seconds: number }[]
  readonly output: ResultFile
  readonly errors: ResultFile
}

/** What was done with one checkpoint, by scheduler. */
export interface LedgerCheckpoint {
  readonly checkpoint: string
  /** Shards that ended with a record of their own: rendered, failed or cancelled. */
  readonly shards: number
  /** Their attempts that failed, or were lost with a worker, and were followed by others. Nobody is charged for these. */
  readonly retries: number
  /** Seconds that checkpoints were loaded for these shards; absent in entries from before they were counted. */
  readonly loadSeconds?: number
  /** Of the seconds of the schedulers, what items and images took that failed; absent in entries from before they were counted. */
  readonly failedSeconds?: number
  /** `seconds` are those of devices; they sum to the `deviceSeconds` of the records. */
  readonly schedulers: readonly { scheduler: string; images: number; steps: number; seconds: number }[]
}

/**
 * ledger/DAY/ID.json: what an ended batch used on a day (UTC), by when its records were committed. It follows from these alone,
 * so that whoever writes it, however often, writes the same. Written before done.json.
 */
export interface LedgerDocument {
  readonly batchId: string
  readonly tenant: string
  readonly day: string
  readonly checkpoints: readonly LedgerCheckpoint[]
}

/**
 * ledger-workers/DAY/TIME-WORKER.json: what a worker's device did on a day (UTC), from the start of the day or of its process, as far as
 * it had told it. Overwritten with more while it works. What was neither rendering nor loading was idle.
 */
export interface WorkerDayDocument {
  readonly workerId: string
  readonly startedAt: string
  readonly day: string
  readonly wallSeconds: number
  /** In which some call computed, whatever became of it. */
  readonly renderSeconds: number
  /** In which none did, and a checkpoint was being fetched or loaded. */
  readonly loadSeconds: number
}

/** A line of output.jsonl. The picture is at `image` of keys.ts with its `name`. */
export type OutputLine = Extract<ItemResult, { state: 'rendered' }> & { readonly shardId: string }

/** A line of errors.jsonl: failed items, and cancelled ones that were planned. */
export interface ErrorLine {
  readonly index: number
  readonly customId: string
  readonly state: 'failed' | 'cancelled'
  readonly code: string
  readonly message: string
  /** These two as the record has them. */
  readonly scheduler?: string
  readonly seconds?: number
  readonly shardId: string
}

export interface ManifestFile {
  /** Relative, '/'-separated, no '.' or '..' parts. */
  readonly path: string
  readonly size: number
  readonly sha256: string
}

/** checkpoints/manifests/NAME/HEX.json. HEX is the sha256 of exactly these bytes: files sorted by path, JSON without spaces. */
export interface CheckpointManifest {
  readonly version: 1
  readonly name: string
  readonly files: readonly ManifestFile[]
}

/** checkpoints/tags/NAME/TAG.json: the only document that is overwritten. */
export interface TagDocument {
  readonly pin: string
  readonly updatedAt: string
}
