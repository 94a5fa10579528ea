import type { Tensor, Tensors } from './family.ts'

/** The hidden states that were asked for, [tokens, width]: the one output whose name says so. */
export function hiddenStates(outputs: Tensors): Tensor {
  const name = Object.keys(outputs).find((key) => key.startsWith('hidden_states.'))
  return outputs[name ?? 'last_hidden_state']!
}

/** [tokens, a] and [tokens, b] → [tokens, a + b], or [a] and [b] → [a + b]. */
export function concatenateWidths(parts: readonly Tensor[]): Tensor {
  const widths = parts.map(({ dims }) => dims.at(-1)!)
  const width = widths.reduce((a, b) => a + b, 0)
  const rows = parts[0]!.data.length / widths[0]!
  const data = new Float32Array(rows * width)
  let column = 0
  for (const [k, part] of parts.entries()) {
    const size = widths[k]!
    for (let row = 0; row < rows; row++) {
      data.set(part.data.subarray(row * size, (row + 1) * size), row * width + column)
    }
    column += size
  }
  return { data, dims: [...parts[0]!.dims.slice(0, -1), width] }
}

/** [tokens, width] → [tokens, wider], zeros at the end. */
export function padWidth(tensor: Tensor, width: number): Tensor {
  const [tokens = 1, own = 1] = tensor.dims
  const rest = { data: new Float32Array(tokens * (width - own)), dims: [tokens, width - own] }
  return width === own ? tensor : concatenateWidths([tensor, rest])
}

/** [a, width] and [b, width] → [a + b, width]. */
export function concatenateTokens(first: Tensor, second: Tensor): Tensor {
  const data = new Float32Array(first.data.length + second.data.length)
  data.set(first.data)
  data.set(second.data, first.data.length)
  return { data, dims: [first.dims[0]! + second.dims[0]!, first.dims[1]!] }
}

export function zerosLike({ data, dims }: Tensor): Tensor {
  return { data: new Float32Array(data.length), dims }
}
