import { createLogger, Metrics } from '@darkroom/chassis'
import { expect, test } from 'vitest'
import { SYSTEM_CLOCK } from './clock.ts'
import { Effects } from './effects.ts'
import { createEvents } from './events.ts'

const createEffects = (signal: AbortSignal): Effects =>
  new Effects(createEvents(new Metrics(), createLogger('effects-test', 'silent')), SYSTEM_CLOCK, signal)

test('an effect is tried again until it works', async () => {
  const done = Promise.withResolvers<number>()
  let tries = 0
  createEffects(new AbortController().signal).run('recording', async () => {
    if (++tries < 3) throw new Error('the store is away')
    done.resolve(tries)
  })
  expect(await done.promise).toBe(3)
})

test('no more than a few effects of a kind run at once, and every one runs', async () => {
  const effects = createEffects(new AbortController().signal)
  const all = Promise.withResolvers<void>()
  let running = 0
  let most = 0
  let ended = 0
  for (let n = 0; n < 20; n++) {
    effects.run('planning', async () => {
      most = Math.max(most, ++running)
      await new Promise(setImmediate)
      running--
      if (++ended === 20) all.resolve()
    })
  }
  await all.promise
  expect(most).toBe(4)
})

test('nothing begins once the term is over', async () => {
  const stop = new AbortController()
  const effects = createEffects(stop.signal)
  const gates = Array.from({ length: 2 }, () => Promise.withResolvers<void>())
  const begun: string[] = []
  for (const [n, { promise }] of gates.entries()) {
    effects.run('finalizing', async () => {
      begun.push(`first ${n}`)
      await promise
    })
  }
  effects.run('finalizing', async () => void begun.push('waited'))
  await new Promise(setImmediate)
  stop.abort()
  for (const { resolve } of gates) resolve()
  effects.run('finalizing', async () => void begun.push('late'))
  await new Promise(setImmediate)
  expect(begun).toEqual(['first 0', 'first 1'])
})
