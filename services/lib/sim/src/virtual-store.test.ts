import { DarkroomError, probeConditionalWrites } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { Random } from './random.ts'
import { onRealStore, onVirtualStore } from './store-rigs.harness.ts'
import type { StoreProperty, StoreRig } from './store-rigs.harness.ts'
import { VirtualBucket } from './virtual-bucket.ts'

type Store = StoreRig['store']

/** Each holds on the real server; where the virtual one differs, the virtual one is wrong. */
const PROPERTIES: Record<string, StoreProperty> = {
  'of two conditional writes the first wins and the second changes nothing': async ({ store }) => {
    expect(await store.putIfAbsent('k', 'first')).toBe('created')
    expect(await store.putIfAbsent('k', 'second')).toBe('exists')
    expect(await textOf(store, 'k')).toBe('first')
  },

  'of many conditional writes at once exactly one wins, and it is what is stored': async ({ store }) => {
    const outcomes = await Promise.all(Array.from({ length: 20 }, (_, n) => store.putIfAbsent('k', `writer ${n}`)))
    const winners = outcomes.flatMap((outcome, n) => (outcome === 'created' ? [`writer ${n}`] : []))
    expect(winners).toEqual([await textOf(store, 'k')])
  },

  'a conditional write is refused by what a plain one wrote, and not by what was deleted': async ({ store }) => {
    await store.put('k', 'plain')
    expect(await store.putIfAbsent('k', 'conditional')).toBe('exists')
    await store.delete('k')
    expect(await store.putIfAbsent('k', 'conditional')).toBe('created')
  },

  'a conditional write whose answers may be lost never finds its own write to be another’s': async (rig) => {
    rig.loseAnswers()
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, n) => outcomeOf(rig.store.putIfAbsent(`k${n}`, 'mine'))),
    )
    for (const outcome of outcomes) expect(['created', 'STORE_UNAVAILABLE']).toContain(outcome)
  },

  'of many edits of a document at once none is lost': async ({ store }) => {
    const numbers = Array.from({ length: 8 }, (_, n) => n)
    await Promise.all(numbers.map((n) => store.editJson<number[]>('k', (stored) => [...(stored ?? []), n])))
    expect((await store.getJson<number[]>('k'))?.toSorted((a, b) => a - b)).toEqual(numbers)
  },

  'an edit is done over on what somebody else has written, deleted or made meanwhile': async ({ store }) => {
    const meanwhile = [
      () => store.put('k', '"other"'),
      () => store.delete('k'),
      () => store.putIfAbsent('k', '"new"'),
      async () => {},
    ]
    const seen: unknown[] = []
    await store.put('k', '"first"')
    const edited = await store.editJson('k', async (stored) => {
      await meanwhile[seen.length]!()
      seen.push(stored)
      return `edit ${seen.length}`
    })
    expect(seen).toEqual(['first', 'other', null, 'new'])
    expect(edited).toBe('edit 4')
    expect(await store.getJson('k')).toBe('edit 4')
  },

  'an edit that throws writes nothing, and its error is the caller’s': async ({ store }) => {
    const refuse = (): never => {
      throw new DarkroomError('CONFLICT', 'no')
    }
    expect(await outcomeOf(store.editJson('k', refuse))).toBe('CONFLICT')
    expect(await store.get('k')).toBeNull()
  },

  'edits one after the other whose answers may be lost are done once each, or may be where their writer is told of a failure':
    async (rig) => {
      rig.loseAnswers()
      let done = 0
      for (let n = 0; n < 10; n++)
        done += await rig.store
          .editJson<number>('k', (stored) => (stored ?? 0) + 1)
          .then(
            () => 1,
            () => 0,
          )
      const stored = await rig.store.getJson<number>('k')
      expect(stored).toBeGreaterThanOrEqual(done)
      expect(stored).toBeLessThanOrEqual(10)
    },

  'what is missing is null, but for a range, which is NOT_FOUND': async ({ store }) => {
    expect(await store.get('k')).toBeNull()
    expect(await store.getJson('k')).toBeNull()
    expect(await store.head('k')).toBeNull()
    expect(await outcomeOf(store.getRange('k', 0, 1))).toBe('NOT_FOUND')
  },

  'text comes back byte for byte, also none at all': async ({ store }) => {
    for (const text of ['', 'größe 😀\r\n\0', '\u{feff}with a mark of byte order']) {
      await store.put('k', text)
      expect(await store.get('k')).toEqual(new Uint8Array(Buffer.from(text)))
      await store.put('k', Buffer.from(text))
      expect(await textOf(store, 'k')).toBe(text)
      expect((await store.head('k'))?.size).toBe(Buffer.byteLength(text))
    }
  },

  'a range is counted in bytes, its end may lie behind the object’s, and its start may not': async ({ store }) => {
    await store.put('k', 'größe')
    expect(await store.getRange('k', 2, 3)).toEqual(new Uint8Array(Buffer.from('ö')))
    expect(await store.getRange('k', 4, 99)).toEqual(new Uint8Array(Buffer.from('ße')))
    expect(await outcomeOf(store.getRange('k', 7, 8))).toBe('STORE_UNAVAILABLE')
  },

  'JSON comes back as it was, and what is none is a bug': async ({ store }) => {
    await store.put('k', JSON.stringify({ a: [1, 'ö'] }))
    expect(await store.getJson('k')).toEqual({ a: [1, 'ö'] })
    await store.put('k', '{')
    expect(await outcomeOf(store.getJson('k'))).toBe('INTERNAL')
  },

  'a stream is stored whole, and its length and hash are told': async ({ store }) => {
    const parts = ['one ', 'two ', 'ö'].map((part) => Buffer.from(part))
    const all = Buffer.concat(parts)
    const sha256 = createHash('sha256').update(all).digest('hex')
    expect(await store.putStream('k', streamOf(parts))).toEqual({ bytes: all.length, sha256 })
    expect(await textOf(store, 'k')).toBe('one two ö')
    expect((await store.putStream('empty', streamOf([]))).bytes).toBe(0)
    expect(await textOf(store, 'empty')).toBe('')
  },

  'the last of two plain writes counts': async ({ store }) => {
    await store.put('k', 'first')
    await store.put('k', 'second')
    expect(await textOf(store, 'k')).toBe('second')
  },

  'to delete is fine twice, one by one or many at once': async ({ store }) => {
    for (const key of ['a', 'b', 'c']) await store.put(key, key)
    await store.delete('a')
    await store.delete('a')
    await store.deleteMany(['a', 'b'])
    await store.deleteMany([])
    expect(await keysOf(store, '')).toEqual(['c'])
  },

  'a listing has what begins with its prefix, in byte order, from behind a key on': async ({ store }) => {
    const keys = ['a/1', 'a/10', 'a/2', 'a/B', 'a/b', 'a/\u{ff5e}', 'a/\u{1f600}', 'ab', 'b/1']
    for (const key of keys.toReversed()) await store.put(key, key)
    expect(await keysOf(store, '')).toEqual(keys)
    expect(await keysOf(store, 'a/')).toEqual(keys.slice(0, 7))
    expect(await keysOf(store, 'a/1')).toEqual(['a/1', 'a/10'])
    expect(await keysOf(store, 'a/', 'a/10')).toEqual(keys.slice(2, 7))
    expect(await keysOf(store, 'a/', 'a/\u{ff5e}')).toEqual(['a/\u{1f600}'])
    expect(await keysOf(store, 'nothing')).toEqual([])
    expect(await Array.fromAsync(store.list('a/1'))).toEqual([
      { key: 'a/1', size: 3 },
      { key: 'a/10', size: 4 },
    ])
  },

  'folders are those right under a prefix, at any depth, from behind a key on': async ({ store }) => {
    for (const key of ['x/a/1/p', 'x/a/1/q', 'x/a/2/p', 'x/b/1', 'x/c', 'y/a/1']) await store.put(key, key)
    expect(await Array.fromAsync(store.listPrefixes('x/'))).toEqual(['x/a/', 'x/b/'])
    expect(await Array.fromAsync(store.listPrefixes('x/a/'))).toEqual(['x/a/1/', 'x/a/2/'])
    expect(await Array.fromAsync(store.listPrefixes(''))).toEqual(['x/', 'y/'])
    expect(await store.namesIn('x/')).toEqual(new Set(['x/a/', 'x/b/', 'x/c']))
    expect(await store.namesIn('x/b/')).toEqual(new Set(['x/b/1']))
    expect(await store.namesIn('z/')).toEqual(new Set())
    // Endpoints differ on whether the start itself comes once more.
    const behind = await Array.fromAsync(store.listPrefixes('x/', { startAfter: 'x/a/' }))
    expect(behind.filter((folder) => folder !== 'x/a/')).toEqual(['x/b/'])
    expect(await Array.fromAsync(store.listPrefixes('x/', { startAfter: 'x/a/3' }))).toEqual(['x/b/'])
    await store.delete('x/b/1')
    expect(await Array.fromAsync(store.listPrefixes('x/'))).toEqual(['x/a/'])
  },

  'a listing of more than a page is whole': async ({ store }) => {
    const keys = Array.from({ length: 1_005 }, (_, n) => `many/${String(n).padStart(4, '0')}`)
    await Promise.all(keys.map((key) => store.put(key, key)))
    expect(await keysOf(store, 'many/')).toEqual(keys)
  },

  'a store that is away is STORE_UNAVAILABLE, whatever is asked': async (rig) => {
    const { store } = rig
    await store.put('k', 'text')
    rig.goDown()
    const requests = [
      store.get('k'),
      store.head('k'),
      store.put('k', 'x'),
      store.putIfAbsent('k', 'x'),
      store.editJson('k', () => 'x'),
      keysOf(store, ''),
    ]
    expect(await Promise.all(requests.map(outcomeOf))).toEqual(requests.map(() => 'STORE_UNAVAILABLE'))
  },
}

describe.concurrent('the virtual object store', () => {
  test.for(Object.entries(PROPERTIES))('%s', ([, property]) => onVirtualStore(property))
})

describe.concurrent('a real S3 server', () => {
  test.for(Object.entries(PROPERTIES))('%s', ([, property]) => onRealStore(property))
})

test('the virtual object store refuses bytes that are no text, since it holds text alone', async () => {
  await onVirtualStore(async ({ store }) => {
    expect(await outcomeOf(store.put('k', Uint8Array.of(0xff)))).toBe('INTERNAL')
  })
})

test('a store that does not honour a condition is refused, and the error names it', async () => {
  const bucket = new VirtualBucket()
  const probe: StoreProperty = ({ store }) => probeConditionalWrites(store as ObjectStore)
  await onVirtualStore(probe, bucket)
  bucket.putIfSame = (key, body, _before, writer) => (bucket.put(key, body, writer), true)
  await expect(onVirtualStore(probe, bucket)).rejects.toThrow(/^the object store does not honour If-Match /)
  bucket.honoursConditions = false
  await expect(onVirtualStore(probe, bucket)).rejects.toThrow(/^the object store does not honour If-None-Match /)
  expect(bucket.list('')).toEqual([])
})

/** Reads and writes at random, the same for the same seed. @returns what was seen of each step */
async function walk({ store }: StoreRig, seed: number): Promise<unknown[]> {
  const random = new Random(seed)
  const folders = ['a/', 'a/b/', 'b/', '']
  const key = (): string => random.pick(folders) + random.below(6)
  let bodies = 0
  const body = (): string => `${'ö'.repeat(random.below(4))}${++bodies}`
  const actions: [name: string, act: () => Promise<unknown>][] = [
    ['put', () => store.put(key(), body())],
    ['putIfAbsent', () => store.putIfAbsent(key(), body())],
    ['editJson', () => store.editJson(key(), () => body())],
    ['get', () => textOf(store, key())],
    ['getRange', () => store.getRange(key(), random.below(3), random.below(3) + 3)],
    ['head', async () => (await store.head(key()))?.size],
    ['delete', () => store.delete(key())],
    ['deleteMany', () => store.deleteMany([key(), key()])],
    ['list', () => Array.fromAsync(store.list(random.pick(folders)))],
    ['list after', () => Array.fromAsync(store.list(random.pick(folders), { startAfter: key() }))],
    ['listPrefixes', () => Array.fromAsync(store.listPrefixes(random.pick(folders)))],
  ]
  const observations: unknown[] = []
  for (let step = 0; step < 400; step++) {
    const [name, act] = random.pick(actions)
    observations.push([step, name, await act().catch((reason: unknown) => DarkroomError.from(reason).code)])
  }
  return observations
}

test.concurrent.for([1, 2, 3])(
  'the virtual object store and a real S3 server answer a random walk alike (seed %i)',
  async (seed) => {
    const seen: { virtual: unknown[]; real: unknown[] } = { virtual: [], real: [] }
    await onVirtualStore(async (rig) => void (seen.virtual = await walk(rig, seed)))
    await onRealStore(async (rig) => void (seen.real = await walk(rig, seed)))
    for (const [step, real] of seen.real.entries()) expect(seen.virtual[step]).toEqual(real)
  },
)

async function* streamOf(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts
}

async function textOf(store: Store, key: string): Promise<string | null> {
  const bytes = await store.get(key)
  return bytes === null ? null : Buffer.from(bytes).toString('utf8')
}

async function keysOf(store: Store, prefix: string, startAfter?: string): Promise<string[]> {
  const listing = store.list(prefix, startAfter === undefined ? {} : { startAfter })
  return (await Array.fromAsync(listing)).map(({ key }) => key)
}

async function outcomeOf(action: Promise<unknown>): Promise<unknown> {
  return action.catch((reason: unknown) => DarkroomError.from(reason).code)
}
