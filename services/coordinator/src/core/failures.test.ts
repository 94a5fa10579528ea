import { create } from '@bufbuild/protobuf'
import { DeviceSchema } from '@darkroom/proto'
import type { Worker } from '@darkroom/proto'
import { describe, expect, test } from 'vitest'
import { ITEMS_PER_SHARD, ofType, openedOf, resultOf, segmentOf, SETTINGS, workerOf } from './decide.harness.ts'
import { decide } from './decide.ts'
import type { FarmCommand, FarmEvent, SegmentSummary } from './messages.ts'
import { createState } from './state.ts'
import type { FarmSettings } from './state.ts'

const GPU = create(DeviceSchema, { kind: 'cuda', name: 'some card' })

interface Held {
  readonly batchId: string
  readonly shardId: string
  readonly attempt: number
  stepsDone: number
}

/** The core with workers that take what they are given and report it, on a clock that is moved by hand. */
class Farm {
  readonly state
  nowMs = 0
  readonly commands: FarmCommand[] = []
  readonly #workers = new Map<string, { held: Held[]; activity: bigint; changes: Partial<Worker> }>()
  #sequence = 0

  constructor(settings: Partial<FarmSettings> = {}) {
    this.state = createState({ ...SETTINGS, window: 1, ...settings }, 0)
  }

  worker(id: string, changes: Partial<Worker> = {}): void {
    this.#workers.set(id, {
      held: [],
      activity: 0n,
      changes: { device: GPU, residentCheckpoints: ['emoji-ddpm'], ...changes },
    })
    this.heartbeat(id)
  }

  open(...segments: readonly SegmentSummary[]): void {
    this.send(openedOf('b1', segments.length, 1, segments))
  }

  send(event: FarmEvent): FarmCommand[] {
    const commands = decide(this.state, event, this.nowMs)
    this.commands.push(...commands)
    for (const { batchId, shardId, attempt, workerId } of ofType(commands, 'dispatch')) {
      this.#workers.get(workerId)!.held.push({ batchId, shardId, attempt, stepsDone: 0 })
      this.send({ type: 'shardDispatched', batchId, shardId, attempt, sequence: ++this.#sequence })
      this.heartbeat(workerId)
    }
    for (const { workerId, shardId, attempt } of ofType(commands, 'cancelOnWorker'))
      this.#drop(workerId, shardId, attempt)
    return commands
  }

  /** @param done what it has got done since its last word */
  heartbeat(id: string, done = 0): void {
    const worker = this.#workers.get(id)!
    worker.activity += BigInt(done)
    for (const held of worker.held) held.stepsDone += done
    const running = worker.held.map((held) => ({ ...held, stepsTotal: 10 }))
    this.send({
      type: 'workerSeen',
      worker: { ...workerOf(id, running), ...worker.changes, activity: worker.activity },
    })
  }

  /** Time passes; every worker that still lives is heard of, and only those that are named advance. */
  pass(ms: number, advancing: readonly string[] = [], silent: readonly string[] = []): FarmCommand[] {
    const before = this.commands.length
    const end = this.nowMs + ms
    while (this.nowMs < end) {
      this.nowMs = Math.min(end, this.nowMs + 1_000)
      for (const id of this.#workers.keys())
        if (this.state.workers.has(id) && !silent.includes(id)) this.heartbeat(id, Number(advancing.includes(id)))
      this.send({ type: 'tick' })
    }
    return this.commands.slice(before)
  }

  fail(workerId: string, mayBeAnItem = true): FarmCommand[] {
    const { batchId, shardId, attempt } = this.#workers.get(workerId)!.held.shift()!
    return this.send({ type: 'attemptFailed', batchId, shardId, attempt, message: 'no', mayBeAnItem })
  }

  end(workerId: string, shardId = this.held(workerId)[0]!, deviceSeconds = 1): FarmCommand[] {
    const held = this.#drop(workerId, shardId, Infinity)!
    const result = resultOf('rendered', ITEMS_PER_SHARD, deviceSeconds, workerId)
    const commands = this.send({ type: 'shardEnded', batchId: held.batchId, shardId, result })
    this.heartbeat(workerId)
    return commands
  }

  held(workerId: string): string[] {
    return this.#workers.get(workerId)!.held.map(({ shardId }) => shardId)
  }

  of<T extends FarmCommand['type']>(type: T) {
    return ofType(this.commands, type)
  }

  #drop(workerId: string, shardId: string, attempt: number): Held | undefined {
    const { held } = this.#workers.get(workerId)!
    const place = held.findIndex((one) => one.shardId === shardId && one.attempt <= attempt)
    return place === -1 ? undefined : held.splice(place, 1)[0]
  }
}

/** One shard, by name, of so many items. */
const shardOf = (id: string, itemCount: number): SegmentSummary => ({
  shards: segmentOf(0, 1).shards.map((shard) => ({ ...shard, id, itemCount })),
  ended: [],
})

describe('a shard that fails', () => {
  test('is tried again at once the first time, and rests longer each time after that', () => {
    const farm = new Farm({ maxFailures: 5 })
    farm.worker('w1')
    farm.open(shardOf('s', 1))
    const waits: number[] = []
    for (let failure = 1; failure < 5; failure++) {
      const from = farm.nowMs
      farm.fail('w1')
      while (farm.held('w1').length === 0) farm.pass(500)
      waits.push((farm.nowMs - from) / 1000)
    }
    expect(waits).toEqual([0, 1, 2, 4])
    expect(ofType(farm.fail('w1'), 'endShard')).toMatchObject([{ kind: 'failed', shardId: 's', itemCount: 1 }])
  })

  test('is halved until the item that workers die of is alone, and only that item fails', () => {
    const farm = new Farm()
    for (const id of ['w1', 'w2', 'w3', 'w4']) farm.worker(id)
    farm.open(shardOf('s', 8))
    // The poisonous item is the last.
    const isPoisonous = (shardId: string): boolean => /^sb*$/.test(shardId)
    const sizes = new Map([['s', 8]])
    const ended: string[] = []
    for (let round = 0; round < 200 && farm.state.batches.get('b1')!.open.size > 0; round++) {
      for (const id of ['w1', 'w2', 'w3', 'w4']) {
        const [shardId] = farm.held(id)
        if (shardId === undefined) continue
        const commands = isPoisonous(shardId) ? farm.fail(id) : farm.end(id)
        if (!isPoisonous(shardId)) ended.push(shardId)
        for (const { kind, shardId: of, batchId } of ofType(commands, 'endShard')) {
          if (kind === 'failed') ended.push(`${of} failed`)
          const size = sizes.get(of)! / 2
          const halves = [`${of}a`, `${of}b`].map((half) => ({ ...shardOf(half, size).shards[0]! }))
          for (const half of halves) sizes.set(half.id, size)
          const result = resultOf(kind, sizes.get(of)!)
          farm.send({ type: 'shardEnded', batchId, shardId: of, result, ...(kind === 'split' && { halves }) })
        }
      }
      farm.pass(1_000, ['w1', 'w2', 'w3', 'w4'])
    }
    expect(ended.toSorted()).toEqual(['sa', 'sba', 'sbba', 'sbbb failed'])
    expect(farm.of('finalize')).toHaveLength(1)
  })

  test('for a reason that all its items share is not halved', () => {
    const farm = new Farm({ maxFailures: 3 })
    farm.worker('w1')
    farm.open(shardOf('s', 8))
    for (let failure = 0; failure < 3; failure++) {
      farm.fail('w1', false)
      farm.pass(4_000)
    }
    expect(farm.of('endShard')).toMatchObject([{ kind: 'failed', itemCount: 8 }])
  })

  test('of a batch that was cancelled meanwhile has its halves cancelled', () => {
    const farm = new Farm()
    farm.worker('w1')
    farm.open(shardOf('s', 2))
    farm.fail('w1')
    farm.fail('w1')
    farm.send({ type: 'cancelRequested', batchId: 'b1' })
    const halves = ['sa', 'sb'].map((id) => shardOf(id, 1).shards[0]!)
    const commands = farm.send({
      type: 'shardEnded',
      batchId: 'b1',
      shardId: 's',
      result: resultOf('split', 0),
      halves,
    })
    expect(ofType(commands, 'endShard')).toMatchObject([
      { shardId: 'sa', kind: 'cancelled' },
      { shardId: 'sb', kind: 'cancelled' },
    ])
  })
})

describe('a worker that lives and does not advance', () => {
  test('loses its shard after the lease, and is given nothing until it advances', () => {
    const farm = new Farm()
    farm.worker('w1')
    farm.open(shardOf('s', 1))
    farm.worker('w2')
    expect(farm.pass(SETTINGS.progressLeaseMs)).toEqual([])
    const commands = farm.pass(1_000)
    expect(ofType(commands, 'workerStalled')).toEqual([{ type: 'workerStalled', workerId: 'w1' }])
    expect(ofType(commands, 'cancelOnWorker')).toMatchObject([{ workerId: 'w1', shardId: 's', attempt: 1 }])
    expect(ofType(commands, 'dispatch')).toMatchObject([{ workerId: 'w2', attempt: 2 }])
    expect(farm.state.suspects.quarantined.get('w1')).toMatchObject({ reason: 'stalled' })
    // It has dropped what it held, and that is a sign of life.
    farm.heartbeat('w1')
    expect(farm.state.taking).toContain('w1')
  })

  test('keeps its shard as long as it tells of anything done', () => {
    const farm = new Farm()
    farm.worker('w1')
    farm.open(shardOf('s', 1))
    expect(ofType(farm.pass(5 * SETTINGS.progressLeaseMs, ['w1']), 'dispatch')).toEqual([])
    expect(farm.held('w1')).toEqual(['s'])
  })
})

describe('a worker that fails what others render', () => {
  test('is put into quarantine after three shards, and given work again after five minutes', () => {
    const farm = new Farm()
    farm.worker('bad')
    farm.open(segmentOf(0, 12))
    farm.worker('good')
    for (let n = 0; n < 6 && !farm.state.suspects.quarantined.has('bad'); n++) {
      farm.fail('bad', false)
      for (let m = 0; m < 3; m++) farm.end('good')
    }
    expect(farm.of('quarantined')).toEqual([
      { type: 'quarantined', workerId: 'bad', reason: 'fails_what_others_render' },
    ])
    expect(farm.state.taking).toEqual(new Set(['good']))
    farm.pass(5 * 60_000, ['good', 'bad'])
    expect(farm.of('released')).toEqual([{ type: 'released', workerId: 'bad' }])
    expect(farm.state.taking).toContain('bad')
  })

  test('is kept where there is no other', () => {
    const farm = new Farm({ maxFailures: 2 })
    farm.worker('only')
    farm.open(segmentOf(0, 8))
    for (let n = 0; n < 8; n++) {
      farm.fail('only', false)
      farm.pass(1_000)
      farm.fail('only', false)
      farm.pass(1_000)
    }
    expect(farm.of('quarantined')).toEqual([])
  })
})

describe('workers that make different pictures of the same items', () => {
  test('are accused both, so that the one that differs from three others is found', () => {
    const farm = new Farm()
    for (const id of ['bad', 'w1', 'w2', 'w3']) farm.worker(id)
    for (const otherId of ['w1', 'w2', 'w3']) farm.send({ type: 'resultsDiffered', workerId: 'bad', otherId })
    expect(farm.of('quarantined')).toEqual([{ type: 'quarantined', workerId: 'bad', reason: 'renders_other_pixels' }])
  })

  test('are not accused where their devices differ', () => {
    const farm = new Farm()
    farm.worker('cpu', { device: create(DeviceSchema, { kind: 'cpu' }) })
    for (const id of ['w1', 'w2', 'w3']) {
      farm.worker(id)
      farm.send({ type: 'resultsDiffered', workerId: 'cpu', otherId: id })
    }
    expect(farm.state.suspects.blames.size).toBe(0)
  })
})

describe('the last shards of a batch', () => {
  /** Two workers, of which one is left with the last shard and does not get on with it. */
  function lastOne(): Farm {
    const farm = new Farm()
    farm.worker('slow')
    farm.worker('quick')
    farm.open(segmentOf(0, 101))
    for (let n = 0; n < 100; n++) farm.end('quick')
    expect([farm.held('slow'), farm.held('quick')]).toEqual([['0-0'], []])
    farm.pass(4_000, ['quick'])
    return farm
  }

  test('are given to an idle worker too, within two percent of the work', () => {
    const farm = lastOne()
    expect(farm.of('hedged')).toEqual([{ type: 'hedged', batchId: 'b1', shardId: '0-0', workerId: 'quick' }])
    expect(farm.state.spent.hedgedSeconds).toBeLessThanOrEqual(0.02 * farm.state.spent.committedSeconds)
    expect(farm.state.batches.get('b1')!.owner.running).toBe(2)
  })

  test('end with whoever is first, and the other is told to give up', () => {
    const farm = lastOne()
    const commands = farm.end('quick', '0-0')
    expect(ofType(commands, 'finalize')).toHaveLength(1)
    farm.heartbeat('slow')
    expect(farm.held('slow')).toEqual([])
    expect(farm.state.batches.get('b1')!.owner.running).toBe(0)
  })

  test('go on with the second attempt when the first worker is lost', () => {
    const farm = lastOne()
    const commands = farm.pass(SETTINGS.workerLeaseMs + 1_000, ['quick'], ['slow'])
    expect(ofType(commands, 'dispatch')).toEqual([])
    expect(farm.state.batches.get('b1')!.open.get('0-0')).toMatchObject({ workerId: 'quick', attempt: 2, hedge: null })
    expect(ofType(farm.end('quick', '0-0'), 'finalize')).toHaveLength(1)
  })

  test('go on with the first attempt when the second worker is lost or fails', () => {
    for (const how of ['lost', 'failed']) {
      const farm = lastOne()
      if (how === 'failed') farm.fail('quick')
      else farm.pass(SETTINGS.workerLeaseMs + 1_000, ['slow'], ['quick'])
      expect(farm.state.batches.get('b1')!.open.get('0-0')).toMatchObject({ workerId: 'slow', attempt: 1 })
      expect(farm.held('slow')).toEqual(['0-0'])
    }
  })
})

describe('a share of the rendered shards', () => {
  /** Audits that were asked for, of so many shards. */
  function audited(auditShare: number, second: Partial<Worker> = {}): Farm {
    const farm = new Farm({ auditShare })
    farm.worker('w1')
    farm.worker('w2', second)
    farm.open(segmentOf(0, 100))
    for (let n = 0; n < 50; n++) {
      for (const id of ['w1', 'w2']) farm.end(id)
      for (const { batchId, shardId } of farm.of('audit')) farm.send({ type: 'auditEnded', batchId, shardId })
    }
    return farm
  }

  test('is rendered again by another worker of the same device', () => {
    const audits = audited(0.3).of('audit')
    expect(audits.length).toBeGreaterThan(15)
    expect(audits.length).toBeLessThan(45)
    expect(new Set(audits.map(({ workerId }) => workerId))).toEqual(new Set(['w1', 'w2']))
    expect(audited(0).of('audit')).toEqual([])
  })

  test('is left alone where no other worker has the same device', () => {
    expect(audited(1, { device: create(DeviceSchema, { kind: 'cpu' }) }).of('audit')).toEqual([])
  })

  test('is not taken away from the worker that has it, and is given up with that one', () => {
    const farm = new Farm({ auditShare: 1 })
    for (const id of ['w1', 'w2']) farm.worker(id)
    farm.open(segmentOf(0, 1))
    const [{ batchId, shardId, attempt, workerId }] = ofType(farm.end('w1'), 'audit') as [
      FarmCommand & { type: 'audit' },
    ]
    expect([shardId, attempt, workerId]).toEqual(['0-0', 2, 'w2'])
    farm.send({ type: 'auditDispatched', batchId, shardId, sequence: 77 })
    const running = [{ batchId, shardId, attempt }]
    const seen = farm.send({ type: 'workerSeen', worker: { ...workerOf('w2', running), device: GPU, activity: 1n } })
    expect(ofType(seen, 'cancelOnWorker')).toEqual([])
    expect(ofType(farm.pass(SETTINGS.workerLeaseMs + 2_000, ['w1'], ['w2']), 'withdraw')).toEqual([
      { type: 'withdraw', sequence: 77 },
    ])
    expect(farm.state.audits.size).toBe(0)
  })
})
