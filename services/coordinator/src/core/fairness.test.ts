import { describe, expect, test } from 'vitest'
import { ofType, openedOf, resultOf, segmentOf, SETTINGS, workerOf } from './decide.harness.ts'
import type { CommandOf } from './decide.harness.ts'
import { decide } from './decide.ts'
import type { FarmEvent } from './messages.ts'
import { createState } from './state.ts'
import type { BatchSummary } from './state.ts'
import { INTERACTIVE_PLACES } from './slots.ts'
import type { TenantTerms } from './tenants.ts'

const SHARDS = 2_000

/** A farm in which every shard takes its worker the seconds that its tenant's do; workers render one after the other. */
class VirtualFarm {
  readonly farm = createState(SETTINGS, 0)
  /** Shards that workers hold, in order. */
  readonly #held: CommandOf<'dispatch'>[] = []
  readonly #seconds: Record<string, number>
  readonly served: Record<string, number> = {}
  #nowMs = 0
  #sequence = 0

  constructor(seconds: Record<string, number> = {}) {
    this.#seconds = seconds
  }

  send(event: FarmEvent): void {
    for (const command of ofType(decide(this.farm, event, this.#nowMs), 'dispatch')) {
      this.#held.push(command)
      this.send({ ...command, type: 'shardDispatched', sequence: ++this.#sequence })
    }
  }

  get order(): string[] {
    return this.#held.map(({ batchId }) => batchId)
  }

  open(id: string, summary: Partial<BatchSummary> = {}, shards = SHARDS): void {
    this.send(openedOf(id, 1, shards, [segmentOf(0, shards)], summary))
  }

  addWorkers(count: number): void {
    for (let n = 0; n < count; n++) this.send({ type: 'workerSeen', worker: workerOf(`w${n}`) })
  }

  setTenant(tenant: string, terms: Partial<TenantTerms>): void {
    this.send({ type: 'tenantChanged', tenant, terms: { weight: 1, cap: null, burst: 0, ...terms } })
  }

  /** The longest dispatched shard ends. */
  endOne(): void {
    const { batchId, shardId } = this.#held.shift()!
    const { tenant } = this.farm.batches.get(batchId)!
    const seconds = this.#seconds[tenant] ?? 1
    this.#nowMs += 100
    this.served[tenant] = (this.served[tenant] ?? 0) + seconds
    this.send({ type: 'shardEnded', batchId, shardId, result: resultOf('rendered', 3, seconds) })
  }

  running(tenant: string): number {
    return this.farm.tenants.get(tenant)?.running ?? 0
  }
}

describe('tenants', () => {
  test('with work that waits get GPU-seconds by their weights, also where their shards take longer than was estimated', () => {
    const farm = new VirtualFarm({ heavy: 9, middle: 1, light: 4 })
    farm.setTenant('heavy', { weight: 3 })
    farm.setTenant('middle', { weight: 2 })
    for (const tenant of ['heavy', 'middle', 'light']) farm.open(tenant, { tenant })
    farm.addWorkers(8)
    for (let n = 0; n < 1_500; n++) farm.endOne()
    const { heavy, middle, light } = farm.served
    const sum = heavy! + middle! + light!
    expect(heavy! / sum).toBeCloseTo(3 / 6, 1)
    expect(middle! / sum).toBeCloseTo(2 / 6, 1)
    expect(light! / sum).toBeCloseTo(1 / 6, 1)
  })

  test('are not slowed by a tenant that has opened more batches, of any priority', () => {
    const farm = new VirtualFarm()
    for (let n = 0; n < 20; n++) farm.open(`many-${n}`, { tenant: 'many', priority: 100 })
    farm.open('one', { tenant: 'one' })
    farm.addWorkers(4)
    for (let n = 0; n < 400; n++) farm.endOne()
    expect(farm.served['one']! / farm.served['many']!).toBeCloseTo(1, 1)
  })

  test('have no claim on the time in which they had no work', () => {
    const farm = new VirtualFarm()
    farm.open('early', { tenant: 'early' })
    farm.addWorkers(4)
    for (let n = 0; n < 400; n++) farm.endOne()
    farm.open('late', { tenant: 'late' })
    const before = farm.served['early']!
    for (let n = 0; n < 200; n++) farm.endOne()
    expect(farm.served['early']! - before).toBeGreaterThan(90)
  })

  test('never have more running than their cap, while their burst takes what nobody else wants', () => {
    const farm = new VirtualFarm()
    farm.setTenant('capped', { cap: 3, burst: 2 })
    farm.open('a', { tenant: 'capped' })
    farm.addWorkers(4)
    expect(farm.running('capped')).toBe(5)
    farm.open('b', { tenant: 'other' })
    for (let n = 0; n < 50; n++) {
      farm.endOne()
      expect(farm.running('capped')).toBeLessThanOrEqual(n < 5 ? 5 : 3)
    }
    expect(farm.running('other')).toBe(5)
    farm.setTenant('capped', { cap: 0, burst: 0 })
    for (let n = 0; n < 10; n++) farm.endOne()
    expect(farm.running('capped')).toBe(0)
  })

  test('are not charged for an attempt that was lost', () => {
    const farm = new VirtualFarm()
    farm.open('a', { tenant: 't' }, 1)
    farm.addWorkers(1)
    const tenant = farm.farm.tenants.get('t')!
    expect(tenant.service).toBeGreaterThan(0)
    farm.send({ type: 'workerDetached', workerId: 'w0' })
    expect(tenant.service).toBe(0)
  })
})

describe('the batches of a tenant', () => {
  test('go by priority, then by age', () => {
    const farm = new VirtualFarm()
    farm.open('young', { createdAtMs: 2 }, 2)
    farm.open('urgent', { createdAtMs: 3, priority: 1 }, 2)
    farm.open('old', { createdAtMs: 1 }, 2)
    farm.addWorkers(3)
    expect(farm.order).toEqual(['urgent', 'urgent', 'old', 'old', 'young', 'young'])
  })

  test('change places when a priority is changed', () => {
    const farm = new VirtualFarm()
    for (const [n, id] of ['b1', 'b2'].entries()) farm.open(id, { createdAtMs: n }, 4)
    farm.send({ type: 'batchPriorityChanged', batchId: 'b2', priority: 5 })
    farm.addWorkers(2)
    expect(farm.order).toEqual(['b2', 'b2', 'b2', 'b2'])
    farm.send({ type: 'batchPriorityChanged', batchId: 'b1', priority: 6 })
    farm.endOne()
    expect(farm.order.at(-1)).toBe('b1')
  })

  test('start nothing while they are paused, and go on when they are resumed', () => {
    const farm = new VirtualFarm()
    farm.open('b1', {}, 4)
    farm.addWorkers(1)
    farm.send({ type: 'batchPaused', batchId: 'b1' })
    farm.endOne()
    farm.endOne()
    expect(farm.order).toEqual([])
    farm.send({ type: 'batchResumed', batchId: 'b1' })
    expect(farm.order).toEqual(['b1', 'b1'])
  })

  test('wait behind nothing where they are interactive: a worker with its hands full takes some more', () => {
    const farm = new VirtualFarm()
    farm.open('long', { priority: 100 })
    farm.addWorkers(2)
    expect(farm.order).toHaveLength(2 * SETTINGS.window)
    farm.open('now', { isInteractive: true }, 2 * INTERACTIVE_PLACES + 1)
    expect(farm.order.slice(2 * SETTINGS.window)).toEqual(Array(2 * INTERACTIVE_PLACES).fill('now'))
    farm.endOne()
    expect(farm.order.at(-1)).toBe('now')
    farm.endOne()
    expect(farm.order.filter((id) => id === 'now')).toHaveLength(2 * INTERACTIVE_PLACES + 1)
  })
})
