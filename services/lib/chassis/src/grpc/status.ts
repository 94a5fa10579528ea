import { Metadata, status } from '@grpc/grpc-js'
import type { ServiceError } from '@grpc/grpc-js'
import { DarkroomError, ERROR_CODES, isErrorCode } from '../errors.ts'
import type { ErrorCode, Problem } from '../errors.ts'

const CODE_KEY = 'darkroom-code'
const PROBLEMS_KEY = 'darkroom-problems-bin'

/** Trailers must fit into what HTTP/2 peers take, 8 kB at the least. */
const MAX_PROBLEMS_BYTES = 4_096

/** What a failed call sends: the code's gRPC number, the message for the caller, and code and problems as metadata. */
export function toStatus(reason: unknown): Partial<ServiceError> {
  const error = DarkroomError.from(reason)
  const metadata = new Metadata()
  metadata.set(CODE_KEY, error.code)
  const problems = inBytes(error.problems, MAX_PROBLEMS_BYTES)
  if (problems.length > 0) metadata.set(PROBLEMS_KEY, Buffer.from(JSON.stringify(problems)))
  // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- the table holds the same google.rpc.Code numbers
  return { code: ERROR_CODES[error.code].grpc, details: error.message, metadata }
}

/** As many of the problems, from the first, as fit. */
function inBytes(problems: readonly Problem[], maxBytes: number): readonly Problem[] {
  let bytes = 2
  const tooMany = problems.findIndex((problem) => {
    bytes += Buffer.byteLength(JSON.stringify(problem)) + 1
    return bytes > maxBytes
  })
  return tooMany === -1 ? problems : problems.slice(0, tooMany)
}

/** What a failed call throws at the caller: the same DarkroomError, or the nearest code for a status of gRPC's own. */
export function fromStatus(error: ServiceError): DarkroomError {
  const code = error.metadata?.get(CODE_KEY)[0]
  const problems = error.metadata?.get(PROBLEMS_KEY)[0]
  return new DarkroomError(typeof code === 'string' && isErrorCode(code) ? code : codeOf(error.code), error.details, {
    cause: error,
    problems: problems === undefined ? [] : parseProblems(problems.toString()),
  })
}

/** Tolerant: what another build of the farm, or a stranger, sends must not hide the error itself. */
function parseProblems(text: string): Problem[] {
  try {
    const parsed: unknown = JSON.parse(text)
    return Array.isArray(parsed) ? (parsed as Problem[]) : []
  } catch {
    return []
  }
}

function codeOf(code: status): ErrorCode {
  switch (code) {
    case status.INVALID_ARGUMENT:
      return 'INVALID_REQUEST'
    case status.NOT_FOUND:
      return 'NOT_FOUND'
    case status.PERMISSION_DENIED:
      return 'FORBIDDEN'
    case status.UNAUTHENTICATED:
      return 'UNAUTHENTICATED'
    case status.CANCELLED:
      return 'CANCELLED'
    case status.DEADLINE_EXCEEDED:
      return 'DEADLINE_EXCEEDED'
    case status.UNAVAILABLE:
      return 'COORDINATOR_UNAVAILABLE'
    default:
      return 'INTERNAL'
  }
}
