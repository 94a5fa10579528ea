import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { BatchDocument, CheckpointManifest } from '@darkroom/proto'
import { expect, test } from 'vitest'
import { needsOf } from './batch-needs.ts'
import { BatchReader } from './batch-reader.ts'

const GIB = 2 ** 30
const HEX = 'a'.repeat(64)

/** A bucket with nothing but manifests of checkpoints whose model files have these sizes. */
function readerWith(sizes: Readonly<Record<string, number>>): BatchReader {
  const manifests = new Map<string, CheckpointManifest>(
    Object.entries(sizes).map(([name, size]) => [
      keys.checkpointManifest(name, HEX),
      {
        version: 1,
        name,
        files: [
          { path: 'unet/model.onnx', size: 0.5 * GIB, sha256: HEX },
          { path: 'unet/model.onnx_data', size: size - 0.5 * GIB, sha256: HEX },
          { path: 'README.md', size: 100 * GIB, sha256: HEX },
        ],
      },
    ]),
  )
  const store = { getJson: async (key: string) => manifests.get(key) ?? null } as unknown as ObjectStore
  return new BatchReader(store)
}

const batchOf = (names: readonly string[], needs?: BatchDocument['needs']): BatchDocument =>
  ({ checkpoints: names.map((name) => `${name}@sha256:${HEX}`), ...(needs && { needs }) }) as unknown as BatchDocument

test('a batch needs memory for the model files of its largest checkpoint, in whole GiB', async () => {
  const reader = readerWith({ small: 2 * GIB, large: 11.5 * GIB })
  expect(await needsOf(reader, batchOf(['small', 'large']))).toMatchObject({ memoryBytes: 11 * GIB })
})

test('a batch needs what it asks for, and nothing that nobody knows of', async () => {
  const asked = { deviceKind: 'cuda', tags: ['nvlink'] }
  expect(await needsOf(readerWith({}), batchOf(['unknown'], asked))).toEqual({ ...asked, memoryBytes: 0 })
  expect(await needsOf(readerWith({}), batchOf([]))).toEqual({ deviceKind: null, tags: [], memoryBytes: 0 })
})
