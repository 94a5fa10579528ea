import { createSortedId } from '../batches/batch-id.ts'

/** Files that hold the results of a batch: no objects of their own, but made from its documents when they are read. */
export type ResultKind = (typeof RESULT_KINDS)[number]
export const RESULT_KINDS = ['output', 'error'] as const

/** Ids end with letters whose order is that of when they were made. */
const AGE_LETTERS = 22
const FILE_ID = /^file-[0-9a-z]{22}$/
const BATCH_ID = /^batch_[0-9a-z]{22}$/
const RESULT_FILE_ID = /^file-(output|error)-([0-9a-z]{22})$/

export function createFileId(now: Date): string {
  return `file-${createSortedId(now)}`
}

export function isFileId(text: string): boolean {
  return FILE_ID.test(text)
}

export function createOpenAiBatchId(now: Date): string {
  return `batch_${createSortedId(now)}`
}

export function isOpenAiBatchId(text: string): boolean {
  return BATCH_ID.test(text)
}

export function resultFileId(kind: ResultKind, batchId: string): string {
  return batchId.replace('batch_', `file-${kind}-`)
}

/** When the id was made, as letters in that order: of a file of results, when that of its batch was. */
export function ageOf(id: string): string {
  return id.slice(-AGE_LETTERS)
}

/** Null for what is no file of results. */
export function parseResultFileId(fileId: string): { readonly kind: ResultKind; readonly batchId: string } | null {
  const [, kind, rest] = RESULT_FILE_ID.exec(fileId) ?? []
  return rest === undefined ? null : { kind: kind as ResultKind, batchId: `batch_${rest}` }
}

export function unixSeconds(time: string | Date): number {
  return Math.floor(new Date(time).getTime() / 1000)
}
