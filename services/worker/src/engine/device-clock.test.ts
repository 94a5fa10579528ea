import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { DeviceClock } from './device-clock.ts'

/** As a device does: its time passes, whatever else happens. */
function spend(milliseconds: number): void {
  for (const start = performance.now(); performance.now() - start < milliseconds;);
}

/** A call, or a load, that lasts until it is ended. */
function lasting<T>(begin: (make: () => Promise<void>) => Promise<T>): () => Promise<T> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const ended = begin(() => promise)
  return () => {
    resolve()
    return ended
  }
}

test('each moment counts once: as rendering while a call runs, else as loading, else as idle', async () => {
  const clock = new DeviceClock()
  const endLoad = lasting((make) => clock.load(make))
  spend(20)
  const endCall = lasting((make) => clock.call(make))
  spend(30)
  const { deviceSeconds } = await endCall()
  const before = clock.read().loadSeconds
  spend(10)
  await endLoad()
  const busy = clock.read()
  spend(15)
  const { wallSeconds, renderSeconds, loadSeconds } = clock.read()
  expect(deviceSeconds).toBeGreaterThanOrEqual(0.03)
  expect(renderSeconds).toBeCloseTo(deviceSeconds, 9)
  expect(before).toBeGreaterThanOrEqual(0.02)
  expect(loadSeconds - before).toBeGreaterThanOrEqual(0.01)
  expect({ renderSeconds, loadSeconds }).toEqual({
    renderSeconds: busy.renderSeconds,
    loadSeconds: busy.loadSeconds,
  })
  expect(wallSeconds - renderSeconds - loadSeconds).toBeGreaterThanOrEqual(0.015)
})

test('calls at the same time share the device: what they take sums to what it rendered, and each knows how long it took', async () => {
  const clock = new DeviceClock()
  const endFirst = lasting((make) => clock.call(make))
  spend(10)
  const endSecond = lasting((make) => clock.call(make))
  spend(20)
  const first = await endFirst()
  spend(10)
  const second = await endSecond()
  expect(first.seconds).toBeGreaterThanOrEqual(0.03)
  expect(second.seconds).toBeGreaterThanOrEqual(0.03)
  expect(first.deviceSeconds).toBeLessThan(first.seconds - 0.009)
  expect(first.deviceSeconds + second.deviceSeconds).toBeCloseTo(clock.read().renderSeconds, 9)
})

test('a call that fails was rendering, and a load that fails was loading', async () => {
  const clock = new DeviceClock()
  const fail = async (): Promise<never> => {
    spend(5)
    throw new Error('no memory')
  }
  await expect(clock.call(fail)).rejects.toThrow('no memory')
  await expect(clock.load(fail)).rejects.toThrow('no memory')
  const { renderSeconds, loadSeconds } = clock.read()
  expect(renderSeconds).toBeGreaterThanOrEqual(0.005)
  expect(loadSeconds).toBeGreaterThanOrEqual(0.005)
  spend(5)
  expect(clock.read()).toMatchObject({ renderSeconds, loadSeconds })
})

test('threads that call as fast as they can lose and invent nothing', async () => {
  const clock = new DeviceClock()
  const source = `
    const { parentPort, workerData } = require('node:worker_threads')
    import(workerData.module).then(async ({ DeviceClock }) => {
      const clock = new DeviceClock(workerData.memory)
      let sum = 0
      for (let n = 0; n < 20_000; n++) sum += (await clock.call(async () => {})).deviceSeconds
      parentPort.postMessage(sum)
    })`
  const workerData = { module: new URL('device-clock.ts', import.meta.url).href, memory: clock.memory }
  const sums = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const [sum] = (await once(new Worker(source, { eval: true, workerData }), 'message')) as [number]
      return sum
    }),
  )
  const { wallSeconds, renderSeconds } = clock.read()
  expect(sums.reduce((a, b) => a + b, 0)).toBeCloseTo(renderSeconds, 6)
  expect(renderSeconds).toBeLessThanOrEqual(wallSeconds)
})
