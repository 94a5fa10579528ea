import { keys } from '@darkroom/proto'
import type { ControlDocument } from '@darkroom/proto'
import { expect, test } from 'vitest'
import { SYSTEM_CLOCK } from './clock.ts'
import { Controls } from './controls.ts'
import { startHarness } from './coordinator.harness.ts'
import { SETTINGS } from './core/decide.harness.ts'
import { createState } from './core/state.ts'

test('of what two coordinators are asked at the same time nothing is lost', async () => {
  await using harness = await startHarness()
  const { store } = harness
  const options = { store, clock: SYSTEM_CLOCK, state: createState(SETTINGS, 0), handle: () => {} }
  const coordinators = [new Controls(options), new Controls(options)]
  const items = Array.from({ length: 10 }, (_, n) => n)
  const pause =
    (item: number) =>
    (stored: ControlDocument): ControlDocument => ({
      ...stored,
      pausedItems: [...(stored.pausedItems ?? []), [item, item]],
    })
  await Promise.all(items.map((item) => coordinators[item % 2]!.change('b', pause(item))))
  const { pausedItems = [] } = (await store.getJson<ControlDocument>(keys.control('b')))!
  expect(pausedItems.map(([first]) => first).toSorted((a, b) => a - b)).toEqual(items)
})
