import { expect, test } from 'vitest'
import { manyItems, startTestFarm } from './farm.harness.ts'

const ITEMS = 12

test(
  'items are cancelled and paused while their batch goes on, and what was cancelled can be retried item by item',
  { timeout: 120_000 },
  async () => {
    await using farm = await startTestFarm()
    const { gateway } = farm
    // The first item is shown before the others start, so that nothing is rendered before it is changed.
    const { id } = await gateway.submitJson({ items: manyItems(ITEMS), approveAfter: 1 })
    const changed = await gateway.update(id, { pauseItems: '9-', cancelItems: '2,4-6' })
    expect(changed).toMatchObject({ pausedItems: '9-11', cancelledItems: '2,4-6' })
    await gateway.update(id, { approved: true })
    const waiting = await farm.until(id, ({ items }) => items.rendered + items.cancelled > 4)
    expect(waiting.state).toBe('running')
    expect(await gateway.explain(id, '10')).toMatchObject({ reason: 'item_paused' })
    await farm.farm.kill('coordinator-0')
    await farm.farm.startCoordinator(0)
    expect(await farm.until(id, () => true)).toMatchObject({ pausedItems: '9-11', cancelledItems: '2,4-6' })
    await gateway.update(id, { resumeItems: '0-' })
    const counts = { rendered: ITEMS - 4, failed: 0, cancelled: 4 }
    expect(await farm.end(id)).toMatchObject({ state: 'completed', pausedItems: null, items: counts })
    expect((await farm.verify(id)).violations).toEqual([])
    const errors = await (await fetch(`${farm.farm.gatewayUrl}/api/v1/batches/${id}/errors.jsonl`)).text()
    const lines = errors
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { index: number; state: string; code: string })
    expect(lines.map(({ index }) => index).toSorted((a, b) => a - b)).toEqual([2, 4, 5, 6])
    for (const line of lines) expect(line).toMatchObject({ state: 'cancelled', code: 'CANCELLED' })
    await expect(gateway.update(id, { cancelItems: '0' })).rejects.toThrow('has ended')
    const again = await gateway.retry(id, '5-')
    expect(await farm.end(again.id)).toMatchObject({ itemCount: 2, items: { rendered: 2 } })
    await expect(gateway.retry(id, '0-1')).rejects.toThrow('that is named was rendered: there is nothing to retry')
  },
)
