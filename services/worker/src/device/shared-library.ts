import { closeSync, openSync, readSync } from 'node:fs'
import os from 'node:os'

/** glibc's RTLD_NODELETE. Node closes again what turns out to be no addon, and without this that unloads it. */
const RTLD_NODELETE = 0x1000

const PROGRAM_HEADER = { load: 1, dynamic: 2 }
const DYNAMIC = { needed: 1, strings: 5 }
const DYNAMIC_BYTES = 16

/**
 * Loads a shared library into this process for good: whatever needs it by its soname later finds it, wherever it lies.
 * LD_LIBRARY_PATH could not do that, as the dynamic loader reads it only when a process starts.
 * @param library a path, or a name for the loader's own search (LD_LIBRARY_PATH, the system's cache)
 * @returns null, or why the loader refused
 */
export function loadLibrary(library: string): string | null {
  try {
    process.dlopen({ exports: {} }, library, os.constants.dlopen.RTLD_NOW | RTLD_NODELETE)
    return null
  } catch (reason) {
    const { message } = reason as Error
    // Node's words for what was loaded but is no addon.
    return message.startsWith('Module did not self-register') ? null : message
  }
}

/**
 * The sonames that a shared library says it needs, in its order: DT_NEEDED of an ELF file of 64 bits, little-endian.
 * @throws RangeError where the file is none
 */
export function neededLibraries(file: string): readonly string[] {
  const handle = openSync(file, 'r')
  try {
    const read = (offset: number, bytes: number): Buffer => {
      const buffer = Buffer.alloc(bytes)
      return buffer.subarray(0, readSync(handle, buffer, 0, bytes, offset))
    }
    const header = read(0, 64)
    if (header.length < 64 || header.readUInt32BE(0) !== 0x7f454c46 || header[4] !== 2 || header[5] !== 1) {
      throw new RangeError(`${file} is no shared library of this machine's kind`)
    }
    const entryBytes = header.readUInt16LE(54)
    const table = read(number(header, 32), entryBytes * header.readUInt16LE(56))
    const segments = Array.from({ length: table.length / entryBytes }, (_, i) => {
      const entry = table.subarray(i * entryBytes)
      return {
        type: entry.readUInt32LE(0),
        offset: number(entry, 8),
        address: number(entry, 16),
        bytes: number(entry, 32),
      }
    })
    const dynamic = segments.find(({ type }) => type === PROGRAM_HEADER.dynamic)
    if (dynamic === undefined) return []
    const tags = read(dynamic.offset, dynamic.bytes)
    const values = (wanted: number): number[] =>
      Array.from({ length: tags.length / DYNAMIC_BYTES }, (_, i) => i * DYNAMIC_BYTES)
        .filter((at) => number(tags, at) === wanted)
        .map((at) => number(tags, at + 8))
    const [strings] = values(DYNAMIC.strings)
    const home = segments.find(
      ({ type, address, bytes }) => type === PROGRAM_HEADER.load && strings! >= address && strings! < address + bytes,
    )
    if (home === undefined) return []
    const names = strings! - home.address + home.offset
    return values(DYNAMIC.needed).map((at) => textAt(read(names + at, 256)))
  } finally {
    closeSync(handle)
  }
}

function number(buffer: Buffer, offset: number): number {
  return Number(buffer.readBigUInt64LE(offset))
}

function textAt(buffer: Buffer): string {
  return buffer.toString('latin1', 0, buffer.indexOf(0))
}
