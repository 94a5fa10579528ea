import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { posix } from 'node:path'
import { DarkroomError } from '../errors.ts'
import { assertCheckpointPath } from './checkpoint-path.ts'

type Message = 'model' | 'training' | 'graph' | 'node' | 'attribute' | 'sparse' | 'function' | 'tensor' | 'entry'

/** Where tensors hide in an ONNX model: field number -> message, from onnx.proto3. All other fields are skipped unread. */
const CHILDREN: Record<Message, Readonly<Record<number, Message>>> = {
  model: { 7: 'graph', 20: 'training', 25: 'function' },
  training: { 1: 'graph', 2: 'graph' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  function: { 7: 'node', 11: 'attribute' },
  tensor: { 13: 'entry' },
  entry: {},
}
const MAX_DEPTH = 100
const MAX_STRING_BYTES = 4096

/** Reads structure from a file of any size through one window; weights are stepped over. */
class ProtoFile {
  readonly size: number
  readonly #fd: number
  readonly #window = Buffer.alloc(64 * 1024)
  #start = 0
  #length = 0

  constructor(fd: number) {
    this.#fd = fd
    this.size = fstatSync(fd).size
  }

  byte(position: number): number {
    if (position < this.#start || position >= this.#start + this.#length) {
      this.#start = position
      this.#length = readSync(this.#fd, this.#window, 0, this.#window.length, position)
      if (this.#length === 0) throw new RangeError('the file ends inside a field')
    }
    return this.#window[position - this.#start]!
  }

  bytes(position: number, length: number): Buffer {
    const out = Buffer.alloc(length)
    for (let i = 0; i < length; i++) out[i] = this.byte(position + i)
    return out
  }

  /** Value and the position after it. Sizes beyond 2^53 cannot be real and fail the bounds checks. */
  varint(position: number): [number, number] {
    let value = 0
    for (let i = 0; i < 10; i++) {
      const byte = this.byte(position + i)
      value += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) return [value, position + i + 1]
    }
    throw new RangeError('a number has more than ten bytes')
  }
}

function walk(file: ProtoFile, message: Message, start: number, end: number, depth: number, found: Set<string>): void {
  if (depth > MAX_DEPTH) throw new RangeError(`graphs are nested more than ${MAX_DEPTH} deep`)
  let position = start
  let key = ''
  let value = ''
  while (position < end) {
    const [tag, afterTag] = file.varint(position)
    const field = Math.floor(tag / 8)
    switch (tag % 8) {
      case 0:
        position = file.varint(afterTag)[1]
        break
      case 1:
        position = afterTag + 8
        break
      case 5:
        position = afterTag + 4
        break
      case 2: {
        const [length, body] = file.varint(afterTag)
        position = body + length
        if (position > end) throw new RangeError('a field is longer than what contains it')
        const child = CHILDREN[message][field]
        if (child !== undefined) walk(file, child, body, position, depth + 1, found)
        else if (message === 'entry') {
          if (length > MAX_STRING_BYTES) throw new RangeError('an external data entry is too long')
          const text = file.bytes(body, length).toString('utf8')
          if (field === 1) key = text
          if (field === 2) value = text
        }
        break
      }
      default:
        throw new RangeError(`wire type ${tag % 8} is unknown`)
    }
  }
  if (position !== end) throw new RangeError('a field is longer than what contains it')
  if (message === 'entry' && key === 'location') found.add(value)
}

/**
 * Lists the files that an ONNX model keeps tensors in: initializers, attributes, subgraphs and functions.
 * @throws DarkroomError CHECKPOINT_INVALID where the file is no ONNX protobuf
 */
export function externalDataLocations(onnxFile: string, shownAs: string): string[] {
  const fd = openSync(onnxFile, 'r')
  try {
    const file = new ProtoFile(fd)
    const found = new Set<string>()
    walk(file, 'model', 0, file.size, 0, found)
    return [...found].sort()
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new DarkroomError('CHECKPOINT_INVALID', `${shownAs} is not a valid ONNX file: ${error.message}`, {
      cause: error,
    })
  } finally {
    closeSync(fd)
  }
}

/**
 * Refuses a model whose external data is not among the checkpoint's own files.
 * @param path the model's path in the checkpoint; external locations are relative to its folder
 * @throws DarkroomError CHECKPOINT_INVALID
 */
export function assertExternalDataInside(onnxFile: string, path: string, files: ReadonlySet<string>): void {
  for (const location of externalDataLocations(onnxFile, path)) {
    assertCheckpointPath(location)
    if (!files.has(posix.join(posix.dirname(path), location))) {
      throw new DarkroomError(
        'CHECKPOINT_INVALID',
        `${path} keeps weights in ${JSON.stringify(location)}, which is not a file of the checkpoint: put it beside the model`,
      )
    }
  }
}
