import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { assertExternalDataInside, externalDataLocations } from './onnx-external-data.ts'

const SHIPPED = path.resolve(import.meta.dirname, '../../../../../deploy/checkpoints')
const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-onnx-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(Math.floor(value / 0x80))]
}

/** A length-delimited protobuf field. */
function field(number: number, ...parts: (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)))
  return Buffer.concat([Buffer.from([...varint(number * 8 + 2), ...varint(body.length)]), body])
}

/** TensorProto with external_data, as onnx.save_model(…, save_as_external_data=True) writes it. */
const tensor = (location: string): Buffer =>
  Buffer.concat([field(9, Buffer.alloc(300)), field(13, field(1, 'location'), field(2, location))])

/** Everywhere that onnx.proto3 lets a tensor stand. */
const PLACES: Record<string, (weights: Buffer) => Buffer> = {
  'an initializer': (w) => field(7, field(5, w)),
  'a sparse initializer': (w) => field(7, field(15, field(1, w))),
  "a node's attribute": (w) => field(7, field(1, field(5, field(5, w)))),
  "a node's list of tensors": (w) => field(7, field(1, field(5, field(10, w)))),
  'a subgraph': (w) => field(7, field(1, field(5, field(6, field(5, w))))),
  "a subgraph's subgraph": (w) => field(7, field(1, field(5, field(11, field(1, field(5, field(6, field(5, w)))))))),
  'a function': (w) => field(25, field(7, field(5, field(5, w)))),
  "a function's attribute": (w) => field(25, field(11, field(5, w))),
  'training information': (w) => field(20, field(2, field(5, w))),
}

function model(bytes: Buffer): string {
  const file = path.join(folder, 'model.onnx')
  writeFileSync(file, bytes)
  return file
}

describe('external data of ONNX models', () => {
  test.for(Object.entries(PLACES))('is found in %s', ([, place]) => {
    expect(externalDataLocations(model(place(tensor('model.onnx_data'))), 'model.onnx')).toEqual(['model.onnx_data'])
  })

  test.for(['emoji-sd/unet', 'emoji-ddpm/unet', 'emoji-sd/text_encoder'])(
    'a model with its weights inside has none: %s',
    (part) => {
      expect(externalDataLocations(path.join(SHIPPED, part, 'model.onnx'), part)).toEqual([])
    },
  )

  test('weights behind a long field are found', () => {
    const inline = field(9, Buffer.alloc(3 << 20))
    const bytes = field(7, field(5, inline), field(5, tensor('late.data')))
    expect(externalDataLocations(model(bytes), 'model.onnx')).toEqual(['late.data'])
  })

  const files = new Set(['unet/model.onnx', 'unet/model.onnx_data', 'vae/weights.data'])
  const check = (location: string) => (): void =>
    assertExternalDataInside(model(PLACES['an initializer']!(tensor(location))), 'unet/model.onnx', files)

  test('beside the model it is allowed', () => {
    expect(check('model.onnx_data')).not.toThrow()
  })

  test.for([
    '../vae/weights.data',
    '/etc/passwd',
    '../../secret',
    'missing.data',
    'C:\\secret',
    '.hidden',
    '*/_ORT_MEM_ADDR_/*',
    '',
  ])('a location of %j is refused', (location) => {
    expect(check(location)).toThrow(expect.objectContaining({ code: 'CHECKPOINT_INVALID' }))
  })

  test.for<[string, Buffer]>([
    ['text', Buffer.from('this is not a model')],
    ['a field longer than the file', Buffer.from([0x3a, 0xff, 0x01, 0x00])],
    ['an endless number', Buffer.alloc(20, 0xff)],
    ['a child longer than its parent', field(7, Buffer.from([0x2a, 0x7f, 0x00]))],
    [
      'a hundred nested graphs',
      Array.from({ length: 60 }).reduce<Buffer>((inner) => field(1, field(5, field(6, inner))), Buffer.alloc(0)),
    ],
  ])('%s is refused as no ONNX file', ([name, bytes]) => {
    const nested = name === 'a hundred nested graphs' ? field(7, bytes) : bytes
    expect(() => externalDataLocations(model(nested), 'unet/model.onnx')).toThrow(
      /unet\/model\.onnx is not a valid ONNX/,
    )
  })
})
