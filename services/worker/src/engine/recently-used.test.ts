import { expect, test } from 'vitest'
import { RecentlyUsed } from './recently-used.ts'

test('what was not used for longest is forgotten first', () => {
  const map = new RecentlyUsed<number>(2)
  map.set('a', 1)
  map.set('b', 2)
  expect(map.get('a')).toBe(1)
  map.set('c', 3)
  expect([map.get('a'), map.get('b'), map.get('c')]).toEqual([1, undefined, 3])
})
