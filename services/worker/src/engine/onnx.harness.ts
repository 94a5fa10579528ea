/** Element types of ONNX. */
const ONNX_TYPES = { float32: 1, int64: 7, float16: 10 } as const
type OnnxType = keyof typeof ONNX_TYPES

/** Numbers where they are fixed, names where they are free. */
type Dims = readonly (number | string)[]

export interface OnnxGraph {
  readonly inputs: Readonly<Record<string, readonly [type: OnnxType, dims: Dims]>>
  readonly outputs: Readonly<Record<string, readonly [type: OnnxType, dims: Dims]>>
  /** `Cast` goes to the type of its output. */
  readonly nodes: readonly { readonly op: 'Identity' | 'Cast'; readonly from: string; readonly to: string }[]
}

/** A model file of a few nodes, as the protocol buffers of onnx.proto. */
export function onnxModel({ inputs, outputs, nodes }: OnnxGraph): Uint8Array {
  const graph = [
    ...nodes.map(({ op, from, to }) => {
      const attributes =
        op === 'Cast' ? [message(5, [text(1, 'to'), varint(3, elementType(outputs[to]!)), varint(20, 2)])] : []
      return message(1, [text(1, from), text(2, to), text(4, op), ...attributes])
    }),
    text(2, 'probe'),
    ...Object.entries(inputs).map(([name, value]) => message(11, valueInfo(name, value))),
    ...Object.entries(outputs).map(([name, value]) => message(12, valueInfo(name, value))),
  ]
  const opsets = message(8, [varint(2, 13)])
  return Uint8Array.from([...varint(1, 8), ...message(7, graph), ...opsets])
}

function elementType([type]: readonly [OnnxType, Dims]): number {
  return ONNX_TYPES[type]
}

function valueInfo(name: string, value: readonly [OnnxType, Dims]): number[][] {
  const dims = value[1].map((dim) => message(1, [typeof dim === 'number' ? varint(1, dim) : text(2, dim)]))
  const tensor = message(1, [varint(1, elementType(value)), message(2, dims)])
  return [text(1, name), message(2, [tensor])]
}

function message(field: number, parts: readonly (readonly number[])[]): number[] {
  const body = parts.flat()
  return [...number(field * 8 + 2), ...number(body.length), ...body]
}

function text(field: number, value: string): number[] {
  return message(field, [[...Buffer.from(value)]])
}

function varint(field: number, value: number): number[] {
  return [...number(field * 8), ...number(value)]
}

function number(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...number(Math.floor(value / 128))]
}
