import { DarkroomError } from '@darkroom/chassis'
import { expect, test } from 'vitest'
import { insist } from './insist.ts'

const never = new AbortController().signal
const away = new DarkroomError('STORE_UNAVAILABLE', 'PutObject failed: SlowDown')

test('what the store cannot do now is done once it can', async () => {
  let tries = 0
  const result = await insist(never, async () => {
    if (++tries === 1) throw away
    return 'done'
  })
  expect([result, tries]).toEqual(['done', 2])
})

test('any other failure is thrown at once', async () => {
  let tries = 0
  const failing = insist(never, async () => {
    tries++
    throw new DarkroomError('CHECKPOINT_MISMATCH', 'other bytes')
  })
  await expect(failing).rejects.toMatchObject({ code: 'CHECKPOINT_MISMATCH' })
  expect(tries).toBe(1)
})

test('who is given up stops insisting', async () => {
  const giveUp = new AbortController()
  const insisting = insist(giveUp.signal, async () => {
    giveUp.abort()
    throw away
  })
  await expect(insisting).rejects.toMatchObject({ code: 'CANCELLED' })
})
