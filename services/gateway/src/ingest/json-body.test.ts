import { expect, test } from 'vitest'
import { parseJsonBody } from './json-body.ts'

test('brackets and quotes inside strings do not count as depth', () => {
  const value = { items: [{ prompt: '[[[[[[[[[[[[[[[[[["\\' }] }
  expect(parseJsonBody(Buffer.from(JSON.stringify(value)))).toEqual(value)
})

test('no body is undefined', () => {
  expect(parseJsonBody(Buffer.alloc(0))).toBeUndefined()
})

test.for([
  ['nested too deep', Buffer.from('['.repeat(1_000_000))],
  ['not UTF-8', Buffer.from([0x22, 0xff, 0x22])],
  ['cut off', Buffer.from('{"items": [{"prompt": "a')],
] as const)('%s is refused with a sentence', ([, body]) => {
  expect(() => parseJsonBody(body)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }))
})
