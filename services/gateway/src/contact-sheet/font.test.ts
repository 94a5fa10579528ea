import { expect, test } from 'vitest'
import { ADVANCE, dotsOf, GLYPH_HEIGHT } from './font.ts'

/** A text as rows of dots. */
function draw(text: string): string[] {
  const rows = Array.from({ length: GLYPH_HEIGHT }, () => Array.from({ length: text.length * ADVANCE - 1 }, () => ' '))
  for (const [x, y] of dotsOf(text)) rows[y]![x] = '#'
  return rows.map((row) => row.join('').trimEnd())
}

test('letters are drawn upright, the tail of a p below the line', () => {
  expect(draw('Lp')).toEqual([
    '#',
    '#',
    '#     ####',
    '#     #   #',
    '#     #   #',
    '#     #   #',
    '##### ####',
    '      #',
    '      #',
  ])
})

test('every letter of ASCII has a picture of its own within its cell', () => {
  const letters = Array.from({ length: 95 }, (_, i) => String.fromCodePoint(32 + i))
  const drawn = new Set(letters.map((letter) => draw(letter).join('\n')))
  expect(drawn.size).toBe(95)
  for (const letter of letters) for (const [x] of dotsOf(letter)) expect(x).toBeLessThan(ADVANCE - 1)
})

test('a letter that the alphabet lacks is a question mark, one for each', () => {
  expect(draw('é🐈'.replace('🐈', 'ü'))).toEqual(draw('??'))
  expect([...dotsOf('🐈')]).toEqual([...dotsOf('?')])
})
