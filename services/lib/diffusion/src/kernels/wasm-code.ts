import { round } from './expression.ts'
import type { Expression, Operation } from './expression.ts'

export interface KernelShape {
  /** How many numbers `run` takes. */
  readonly numbers: number
  /** Whether float32 holds each of them exactly. */
  readonly areNumbersSingle: boolean
  /** Bytes from one vector to the next. */
  readonly stride: number
}

/**
 * A WebAssembly module whose `run(count, ...numbers)` computes `count` elements, a multiple of four, of an expression. The result
 * lies at the imported memory's start, the vectors behind it.
 */
export function wasmModule(expression: Expression, shape: KernelShape): Uint8Array {
  const { code, locals } = new KernelCode(shape).loopOver(expression)
  const parameters = [I32, ...Array<number>(shape.numbers).fill(F64)]
  const body = [1, ...leb(locals), V128, ...code, END]
  return Uint8Array.from([
    ...MAGIC_AND_VERSION,
    ...section(1, [1, FUNCTION_TYPE, ...counted(parameters), 0]),
    ...section(2, [1, ...name('kernel'), ...name('memory'), MEMORY, 0, 1]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...name('run'), FUNCTION, 0]),
    ...section(10, [1, ...counted(body)]),
  ])
}

// Binary encoding: WebAssembly core specification 2.0, chapter 5.
const MAGIC_AND_VERSION = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
const [I32, F64, V128] = [0x7f, 0x7c, 0x7b]
const [FUNCTION_TYPE, FUNCTION, MEMORY, END] = [0x60, 0, 2, 0x0b]
const [LOOP, BRANCH_IF, LOCAL_GET, LOCAL_SET, I32_CONST, F64_CONST] = [0x03, 0x0d, 0x20, 0x21, 0x41, 0x44]
const [I32_SUB, I32_SHL, F32_DEMOTE_F64, EMPTY, SIMD] = [0x6b, 0x74, 0xb6, 0x40, 0xfd]
const [LOAD, STORE, SHUFFLE, F32_SPLAT, F64_SPLAT, DEMOTE, PROMOTE] = [0x00, 0x0b, 0x0d, 0x13, 0x14, 0x5e, 0x5f]
const ALIGNED_TO_FOUR = 2

/** On four float32 and on two float64. */
const OPCODES: Readonly<Record<Operation['kind'], readonly [single: number, double: number]>> = {
  sqrt: [0xe3, 0xef],
  add: [0xe4, 0xf0],
  sub: [0xe5, 0xf1],
  mul: [0xe6, 0xf2],
  div: [0xe7, 0xf3],
  min: [0xe8, 0xf4],
  max: [0xe9, 0xf5],
}

/** Lanes of two v128 in a row, in bytes. */
const bytesOf = (...words: readonly number[]): number[] =>
  words.flatMap((w) => [4 * w, 4 * w + 1, 4 * w + 2, 4 * w + 3])
const UPPER_TWICE = bytesOf(2, 3, 2, 3)
const LOWER_OF_BOTH = bytesOf(0, 1, 4, 5)

/** The locals where a value of four elements is: as float32 if that is exact, as float64 in two halves if it was needed. */
interface Held {
  readonly single: number | null
  double: readonly [low: number, high: number] | null
}

class KernelCode {
  readonly #shape: KernelShape
  readonly #code: number[] = []
  readonly #held = new Map<Expression, Held>()
  #locals = 0

  constructor(shape: KernelShape) {
    this.#shape = shape
  }

  /** The function's body: from the last four elements to the first. */
  loopOver(expression: Expression): { readonly code: readonly number[]; readonly locals: number } {
    for (const leaf of leavesOf(expression)) if (leaf.kind !== 'vector') this.#hold(leaf)
    const lengthAhead = this.#code.length
    const { single } = this.#hold(expression.kind === 'round' ? expression : round(expression))
    const ahead = this.#code.slice(0, lengthAhead)
    const eachFour = this.#code.slice(lengthAhead)
    const goBack = [LOCAL_GET, 0, I32_CONST, 4, I32_SUB, LOCAL_SET, 0]
    const keep = [...ADDRESS, LOCAL_GET, ...leb(single!), SIMD, STORE, ALIGNED_TO_FOUR, 0]
    const again = [LOCAL_GET, 0, BRANCH_IF, 0]
    const loop = [LOOP, EMPTY, ...goBack, ...eachFour, ...keep, ...again, END]
    return { code: [...ahead, ...loop], locals: this.#locals }
  }

  /** Computes what was not computed yet. */
  #hold(expression: Expression): Held {
    const held = this.#held.get(expression) ?? this.#compute(expression)
    this.#held.set(expression, held)
    return held
  }

  #compute(expression: Expression): Held {
    switch (expression.kind) {
      case 'vector': {
        const offset = (expression.index + 1) * this.#shape.stride
        return { single: this.#local([...ADDRESS, SIMD, LOAD, ALIGNED_TO_FOUR, ...leb(offset)]), double: null }
      }
      case 'number':
        return this.#splat([LOCAL_GET, ...leb(1 + expression.index)], this.#shape.areNumbersSingle)
      case 'constant':
        return this.#splat(
          [F64_CONST, ...new Uint8Array(Float64Array.of(expression.value).buffer)],
          Math.fround(expression.value) === expression.value,
        )
      case 'round':
        return { single: this.#rounded(expression.of), double: null }
      default: {
        const operands = expression.operands.map((operand) => this.#double(operand))
        const half = (k: 0 | 1): number => this.#apply(OPCODES[expression.kind][1], ...operands.map((pair) => pair[k]))
        return { single: null, double: [half(0), half(1)] }
      }
    }
  }

  /**
   * An operation on float32 gives what the same one on float64 does once that is rounded: 53 bits are enough for 24 (Figueroa
   * 1995, "When is double rounding innocuous?").
   */
  #rounded(of: Expression): number {
    if ('operands' in of) {
      const singles = of.operands.map((operand) => this.#hold(operand).single)
      if (singles.every((single) => single !== null)) return this.#apply(OPCODES[of.kind][0], ...singles)
    }
    const { single, double } = this.#hold(of)
    if (single !== null) return single
    const halves = double!.map((half) => this.#apply(DEMOTE, half))
    return this.#shuffle(halves[0]!, halves[1]!, LOWER_OF_BOTH)
  }

  #double(expression: Expression): readonly [low: number, high: number] {
    const held = this.#hold(expression)
    held.double ??= [
      this.#apply(PROMOTE, held.single!),
      this.#apply(PROMOTE, this.#shuffle(held.single!, held.single!, UPPER_TWICE)),
    ]
    return held.double
  }

  /** The number that the code leaves on the stack, for all elements. */
  #splat(code: readonly number[], isSingle: boolean): Held {
    const double = this.#local([...code, SIMD, F64_SPLAT])
    const single = isSingle ? this.#local([...code, F32_DEMOTE_F64, SIMD, F32_SPLAT]) : null
    return { single, double: [double, double] }
  }

  #apply(opcode: number, ...operands: readonly number[]): number {
    return this.#local([...operands.flatMap((local) => [LOCAL_GET, ...leb(local)]), SIMD, ...leb(opcode)])
  }

  #shuffle(a: number, b: number, lanes: readonly number[]): number {
    return this.#local([LOCAL_GET, ...leb(a), LOCAL_GET, ...leb(b), SIMD, SHUFFLE, ...lanes])
  }

  /** A new local that takes the value which the code leaves on the stack. */
  #local(code: readonly number[]): number {
    const local = 1 + this.#shape.numbers + this.#locals++
    this.#code.push(...code, LOCAL_SET, ...leb(local))
    return local
  }
}

/** Bytes from the memory's start to the four elements at hand. */
const ADDRESS: readonly number[] = [LOCAL_GET, 0, I32_CONST, 2, I32_SHL]

function leavesOf(expression: Expression): readonly Expression[] {
  if ('operands' in expression) return expression.operands.flatMap(leavesOf)
  return expression.kind === 'round' ? leavesOf(expression.of) : [expression]
}

/** An unsigned integer in LEB128. */
function leb(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)]
}

function counted(items: readonly number[]): number[] {
  return [...leb(items.length), ...items]
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...counted(content)]
}

function name(text: string): number[] {
  return counted(Array.from(text, (letter) => letter.codePointAt(0)!))
}
