import { expect, test } from 'vitest'
import { CustomIdSet } from './custom-ids.ts'

test('each of 200,000 similar ids is new once', () => {
  const ids = new CustomIdSet()
  const again = new Array<string>()
  for (let i = 0; i < 100_000; i++) if (!ids.add(`item-${i}`) || !ids.add(`${i}-item`)) again.push(`item-${i}`)
  expect(again).toEqual([])
  expect([ids.add('item-7'), ids.add('99999-item'), ids.add('item-100000'), ids.add('')]).toEqual([
    false,
    false,
    true,
    true,
  ])
})
