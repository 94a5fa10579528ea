import { deflateRawSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { zipEntry } from './zip-entry.ts'

/** An archive of two files, the first stored and the second deflated. */
function archive(): Buffer {
  const files = [
    { name: 'a.txt', method: 0, content: Buffer.from('stored') },
    { name: 'b/c.txt', method: 8, content: deflateRawSync('deflated '.repeat(100)) },
  ]
  const locals: Buffer[] = []
  const directory: Buffer[] = []
  for (const { name, method, content } of files) {
    const entry = Buffer.alloc(46)
    entry.writeUInt16LE(method, 10)
    entry.writeUInt32LE(content.length, 20)
    entry.writeUInt16LE(name.length, 28)
    entry.writeUInt32LE(Buffer.concat(locals).length, 42)
    directory.push(entry, Buffer.from(name))
    const local = Buffer.alloc(30)
    local.writeUInt16LE(name.length, 26)
    locals.push(local, Buffer.from(name), content)
  }
  const end = Buffer.alloc(22)
  end.write('PK\u0005\u0006')
  end.writeUInt16LE(files.length, 10)
  end.writeUInt32LE(Buffer.concat(locals).length, 16)
  return Buffer.concat([...locals, ...directory, end])
}

test('a file is found by its name, stored or deflated', () => {
  expect(zipEntry(archive(), 'a.txt').toString()).toBe('stored')
  expect(zipEntry(archive(), 'b/c.txt').toString()).toBe('deflated '.repeat(100))
})

test('what is not there, or is no archive, is an error', () => {
  expect(() => zipEntry(archive(), 'c.txt')).toThrow("the archive has no 'c.txt'")
  expect(() => zipEntry(Buffer.from('text'), 'a.txt')).toThrow('this is no zip archive')
})
