import { parsePin } from '@darkroom/proto'
import type { BatchDocument } from '@darkroom/proto'
import type { Needs } from '../core/needs.ts'
import type { BatchReader } from './batch-reader.ts'

/** Needs are told apart by whole GiB: the dispatcher keeps a queue for each kind of them. */
const STEP_BYTES = 2 ** 30

/**
 * What a batch's workers must have: what it asks for, and memory for the files of its largest checkpoint, which is the least that
 * it takes once it is loaded. A pin without a manifest fails where it is rendered, with its reason.
 */
export async function needsOf(reader: BatchReader, { checkpoints, needs = {} }: BatchDocument): Promise<Needs> {
  const sizes = await Promise.all(checkpoints.map((pin) => modelBytes(reader, pin)))
  const memoryBytes = Math.floor(Math.max(0, ...sizes) / STEP_BYTES) * STEP_BYTES
  return { deviceKind: needs.deviceKind ?? null, memoryBytes, tags: needs.tags ?? [] }
}

async function modelBytes(reader: BatchReader, text: string): Promise<number> {
  const pin = parsePin(text)
  if (pin === null) return 0
  const manifest = await reader.manifest(pin)
  const models = manifest?.files.filter(({ path }) => path.split('/').at(-1)!.startsWith('model.onnx'))
  return models?.reduce((sum, { size }) => sum + size, 0) ?? 0
}
