/**
 * What a kernel computes of each element, as data. Values are float64 until they are rounded, as JavaScript's are, so that an
 * expression means what a loop with the same operations would.
 */
export type Expression =
  | { readonly kind: 'number' | 'vector'; readonly index: number }
  | { readonly kind: 'constant'; readonly value: number }
  | Operation
  | { readonly kind: 'round'; readonly of: Expression }

export interface Operation {
  readonly kind: 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max' | 'sqrt'
  readonly operands: readonly Expression[]
}

const operation =
  (kind: Operation['kind']) =>
  (...operands: readonly Expression[]): Expression => ({ kind, operands })

export const add = operation('add')
export const sub = operation('sub')
export const mul = operation('mul')
export const div = operation('div')
/** NaN where either is NaN. */
export const min = operation('min')
export const max = operation('max')
export const sqrt = operation('sqrt')

export const constant = (value: number): Expression => ({ kind: 'constant', value })

/** To float32. */
export const round = (of: Expression): Expression => ({ kind: 'round', of })

/** Operations as torch does them on float32 tensors. */
export const rounded = {
  add: (a: Expression, b: Expression): Expression => round(add(a, b)),
  sub: (a: Expression, b: Expression): Expression => round(sub(a, b)),
  mul: (a: Expression, b: Expression): Expression => round(mul(a, b)),
  div: (a: Expression, b: Expression): Expression => round(div(a, b)),
}
