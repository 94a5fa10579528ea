import { expect, test } from 'vitest'
import { Watchers } from './watchers.ts'

test('a watcher is woken at once, once for many changes, and for the last one', async () => {
  const watchers = new Watchers()
  const stop = new AbortController()
  const wakes = watchers.watch('b1', stop.signal)
  expect((await wakes.next()).done).toBe(false)
  const second = wakes.next()
  for (let n = 0; n < 100; n++) watchers.changed('b1')
  expect((await second).done).toBe(false)
  // In the pause after it was woken.
  const third = wakes.next()
  watchers.changed('b1')
  expect((await third).done).toBe(false)
  const fourth = wakes.next()
  watchers.changed('b2')
  stop.abort()
  expect((await fourth).done).toBe(true)
})

test('a watcher of any batch is woken when all have changed', async () => {
  const watchers = new Watchers()
  const stop = new AbortController()
  const wakes = watchers.watch('b1', stop.signal)
  await wakes.next()
  const second = wakes.next()
  watchers.allChanged()
  expect((await second).done).toBe(false)
  stop.abort()
  expect((await wakes.next()).done).toBe(true)
})
