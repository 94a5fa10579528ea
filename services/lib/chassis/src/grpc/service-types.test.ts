import { CoordinatorService, WorkerService } from '@darkroom/proto'
import { expectTypeOf, test } from 'vitest'
import { implement } from './server.ts'
import type { Client, ServiceImpl } from './service-types.ts'

test('a service lacking an RPC, or answering one with another shape, does not compile', () => {
  const describe = async () => ({ worker: { id: 'w' } })
  const drain = async () => ({})
  implement(WorkerService, ['cli'], { describe, drain })
  // @ts-expect-error drain is missing
  implement(WorkerService, ['cli'], { describe })
  // @ts-expect-error describe answers with something else
  implement(WorkerService, ['cli'], { describe: async () => ({ batch: {} }), drain })
  // @ts-expect-error no RPC has that name
  implement(WorkerService, ['cli'], { describe, drain, undrain: drain })
  // @ts-expect-error a server stream is not a promise
  const watchBatch: ServiceImpl<typeof CoordinatorService>['watchBatch'] = async () => ({ revision: 1n })
  expectTypeOf(watchBatch).toBeFunction()
})

test('a client has the methods of its service, with requests as plain objects and full messages as answers', () => {
  type WorkerClient = Client<typeof WorkerService>
  expectTypeOf<keyof Omit<WorkerClient, symbol>>().toEqualTypeOf<'describe' | 'drain'>()
  expectTypeOf<Awaited<ReturnType<Client<typeof CoordinatorService>['getBatch']>>>()
    .toHaveProperty('$typeName')
    .toEqualTypeOf<'darkroom.v1.GetBatchResponse'>()
})
