import { toJson } from '@bufbuild/protobuf'
import type { ServiceImpl } from '@darkroom/chassis'
import { ItemSchema } from '@darkroom/proto'
import type { CoordinatorService, ItemLine, QuotedItems } from '@darkroom/proto'
import { quote } from '../core/quote.ts'
import type { QuotedWork } from '../core/quote.ts'
import { unitsOf } from '../planner/cost-model.ts'
import type { RpcContext } from './context.ts'

export function quoteBatch({
  leadership,
  pricePerDeviceSecond,
}: RpcContext): ServiceImpl<typeof CoordinatorService>['quoteBatch'] {
  return async ({ items }) => {
    const farm = await leadership.farm()
    const { secondsAlone, secondsBehindAll, ...rest } = quote(farm.state, items.map(workOf))
    return {
      ...rest,
      ...(secondsAlone !== null && { secondsAlone }),
      ...(secondsBehindAll !== null && { secondsBehindAll }),
      ...(pricePerDeviceSecond > 0 && { price: rest.deviceSeconds * pricePerDeviceSecond }),
    }
  }
}

function workOf({ item, count }: QuotedItems): QuotedWork {
  const line = toJson(ItemSchema, item!, { alwaysEmitImplicit: true }) as unknown as ItemLine
  return { checkpoint: line.checkpoint, work: { [line.scheduler]: unitsOf(line) * Number(count) } }
}
