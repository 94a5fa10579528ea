import { writeFileSync } from 'node:fs'

const BASE = 0x1000
const TAG = { end: 0, needed: 1, strings: 5, symbols: 6, stringBytes: 10, symbolBytes: 11, soname: 14 }

/** Writes a shared library with nothing in it but its own name and the names of those it needs, for the real dynamic loader. */
export function writeSharedLibrary(file: string, soname: string, needed: readonly string[] = []): void {
  const names = ['', soname, ...needed]
  const offsets = names.map((_, i) => names.slice(0, i).reduce((sum, name) => sum + name.length + 1, 0))
  const strings = Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1')
  const headerBytes = 64 + 2 * 56
  const symbolsAt = headerBytes
  const stringsAt = symbolsAt + 24
  const dynamicAt = Math.ceil((stringsAt + strings.length) / 8) * 8
  const tags: (readonly [number, number])[] = [
    [TAG.soname, offsets[1]!],
    ...needed.map((_, i) => [TAG.needed, offsets[i + 2]!] as const),
    [TAG.strings, BASE + stringsAt],
    [TAG.stringBytes, strings.length],
    [TAG.symbols, BASE + symbolsAt],
    [TAG.symbolBytes, 24],
    [TAG.end, 0],
  ]
  const bytes = Buffer.alloc(dynamicAt + 16 * tags.length)
  const words = (at: number, values: readonly number[]): void =>
    values.forEach((value, i) => bytes.writeBigUInt64LE(BigInt(value), at + 8 * i))
  // 64 bits, little-endian; a shared object for x86-64 or AArch64.
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(bytes)
  bytes.writeUInt16LE(3, 16)
  bytes.writeUInt16LE(process.arch === 'arm64' ? 183 : 62, 18)
  bytes.writeUInt32LE(1, 20)
  words(24, [0, 64])
  for (const [at, value] of [
    [52, 64],
    [54, 56],
    [56, 2],
    [58, 64],
  ] as const)
    bytes.writeUInt16LE(value, at)
  const segment = (at: number, [type, flags]: readonly [number, number], offset: number, size: number): void => {
    bytes.writeUInt32LE(type, at)
    bytes.writeUInt32LE(flags, at + 4)
    words(at + 8, [offset, BASE + offset, BASE + offset, size, size, type === 1 ? 0x1000 : 8])
  }
  // Loaded to be read and written (the loader notes addresses in the dynamic part), and the dynamic part in it.
  segment(64, [1, 6], 0, bytes.length)
  segment(64 + 56, [2, 6], dynamicAt, 16 * tags.length)
  strings.copy(bytes, stringsAt)
  tags.forEach((tag, i) => words(dynamicAt + 16 * i, tag))
  writeFileSync(file, bytes)
}
