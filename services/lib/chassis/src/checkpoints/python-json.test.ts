import { expect, test } from 'vitest'
import { parsePythonJson } from './python-json.ts'

test('what JSON cannot say of numbers is read, and left alone inside of strings', () => {
  const text = '{"a": -Infinity, "b": [Infinity, NaN, -1], "c": "-Infinity, NaN \\" Infinity", "NaN": 2}'
  expect(parsePythonJson(text)).toEqual({
    a: -Infinity,
    b: [Infinity, null, -1],
    c: '-Infinity, NaN " Infinity',
    NaN: 2,
  })
})

test('what is broken stays broken', () => {
  expect(() => parsePythonJson('{"a": Infinite}')).toThrow(SyntaxError)
})
