import type { CoreContext } from '../context.ts'
import { OpenAiBatches } from './batches.ts'
import { Files } from './files.ts'
import { ResultFiles } from './result-files.ts'

/** What stands behind the routes in OpenAI's shapes. */
export interface OpenAi {
  readonly files: Files
  readonly batches: OpenAiBatches
  readonly resultFiles: ResultFiles
}

export function createOpenAi(context: CoreContext): OpenAi {
  const files = new Files(context.store)
  const batches = new OpenAiBatches(context, files)
  return { files, batches, resultFiles: new ResultFiles(context, batches) }
}
