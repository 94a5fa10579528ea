import { expect, test } from 'vitest'
import { manyItems, startTestFarm } from './farm.harness.ts'

const ITEMS = 12
const FIRST = 3

test(
  'the first items of a batch are shown, and the others start with a yes, whoever leads by then',
  { timeout: 120_000 },
  async () => {
    await using farm = await startTestFarm()
    const { gateway } = farm
    const { id } = await gateway.submitJson({ items: manyItems(ITEMS), approveAfter: FIRST })
    const asking = await farm.until(id, ({ approval }) => approval?.state === 'waiting')
    expect(asking).toMatchObject({ state: 'running', items: { rendered: FIRST, open: ITEMS - FIRST } })
    expect(await gateway.explain(id, String(FIRST))).toMatchObject({
      reason: 'awaiting_approval',
      remedy: `say yes: darkroom approve ${id}`,
    })
    await farm.farm.kill('coordinator-0')
    await farm.farm.startCoordinator(0)
    const again = await farm.until(id, ({ approval }) => approval?.state === 'waiting')
    expect(again.items).toEqual(asking.items)
    expect(await gateway.update(id, { approved: true })).toMatchObject({
      approval: { afterItems: FIRST, state: 'given' },
    })
    await farm.farm.kill('coordinator-0')
    await farm.farm.startCoordinator(0)
    expect(await farm.end(id)).toMatchObject({ state: 'completed', approval: null, items: { rendered: ITEMS } })
    expect((await farm.verify(id)).violations).toEqual([])
  },
)

test('a batch that asks nobody refuses a yes and says how to be asked', { timeout: 60_000 }, async () => {
  await using farm = await startTestFarm()
  const { id } = await farm.gateway.submitJson({ items: manyItems(ITEMS) })
  await expect(farm.gateway.update(id, { approved: true })).rejects.toThrow(
    `batch ${id} waits for no yes: submit one with approveAfter`,
  )
})
