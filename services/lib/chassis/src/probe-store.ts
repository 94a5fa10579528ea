import { randomUUID } from 'node:crypto'
import { DarkroomError } from './errors.ts'
import type { ObjectStore } from './object-store.ts'

/**
 * Makes sure that the store refuses a write of what is there already, and one over what somebody else has written meanwhile.
 * @throws DarkroomError STORE_UNSUITABLE
 */
export async function probeConditionalWrites(store: ObjectStore): Promise<void> {
  const key = `probe/${randomUUID()}`
  try {
    const answers = [await store.putIfAbsent(key, '"first"'), await store.putIfAbsent(key, '"second"')]
    if (answers.join() !== 'created,exists' || (await store.getJson(key)) !== 'first')
      throw unsuitable('If-None-Match', `two writes of one key: ${answers.join(', ')}`)
    const seen: unknown[] = []
    await store.editJson(key, async (stored) => {
      if (seen.push(stored) === 1) await store.put(key, '"changed meanwhile"')
      return 'edited'
    })
    if (seen.join() !== 'first,changed meanwhile')
      throw unsuitable('If-Match', 'a write over what somebody else had written meanwhile was carried out')
  } finally {
    await store.delete(key)
  }
}

function unsuitable(condition: string, seen: string): DarkroomError {
  const remedy = 'use one that does, such as AWS S3, MinIO or SeaweedFS'
  return new DarkroomError('STORE_UNSUITABLE', `the object store does not honour ${condition} (${seen}): ${remedy}`)
}
