/** What each code means on every wire, and who may try again. `later`: the same place after a wait; `elsewhere`: another worker. */
interface ErrorPolicy {
  readonly http: number
  readonly grpc: number
  readonly retry: 'never' | 'later' | 'elsewhere'
}

/** Every expected failure of the farm. gRPC numbers: google.rpc.Code. Codes are never removed or renumbered. */
export const ERROR_CODES = {
  INVALID_REQUEST: { http: 400, grpc: 3, retry: 'never' },
  UNAUTHENTICATED: { http: 401, grpc: 16, retry: 'never' },
  FORBIDDEN: { http: 403, grpc: 7, retry: 'never' },
  NOT_FOUND: { http: 404, grpc: 5, retry: 'never' },
  METHOD_NOT_ALLOWED: { http: 405, grpc: 12, retry: 'never' },
  CONFLICT: { http: 409, grpc: 10, retry: 'never' },
  PRECONDITION_FAILED: { http: 412, grpc: 9, retry: 'never' },
  PAYLOAD_TOO_LARGE: { http: 413, grpc: 3, retry: 'never' },
  UNSUPPORTED_MEDIA_TYPE: { http: 415, grpc: 3, retry: 'never' },
  IDEMPOTENCY_KEY_REUSED: { http: 422, grpc: 3, retry: 'never' },
  TOO_MANY_REQUESTS: { http: 429, grpc: 8, retry: 'later' },
  OVERLOADED: { http: 503, grpc: 14, retry: 'later' },
  CHECKPOINT_INVALID: { http: 422, grpc: 9, retry: 'never' },
  CHECKPOINT_MISMATCH: { http: 422, grpc: 15, retry: 'elsewhere' },
  RENDER_FAILED: { http: 422, grpc: 9, retry: 'never' },
  CANCELLED: { http: 409, grpc: 1, retry: 'never' },
  NOT_LEADER: { http: 503, grpc: 14, retry: 'later' },
  COORDINATOR_UNAVAILABLE: { http: 503, grpc: 14, retry: 'later' },
  STORE_UNAVAILABLE: { http: 503, grpc: 14, retry: 'later' },
  STORE_UNSUITABLE: { http: 500, grpc: 9, retry: 'never' },
  NATS_UNAVAILABLE: { http: 503, grpc: 14, retry: 'later' },
  DEADLINE_EXCEEDED: { http: 504, grpc: 4, retry: 'later' },
  INVALID_CONFIG: { http: 500, grpc: 9, retry: 'never' },
  INTERNAL: { http: 500, grpc: 13, retry: 'later' },
} as const satisfies Record<string, ErrorPolicy>

export type ErrorCode = keyof typeof ERROR_CODES

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text)
}

/** One thing wrong with a request: where (`field`, 1-based `line` of an NDJSON body), what was given there, and what to do. */
export interface Problem {
  readonly field?: string
  readonly line?: number
  /** Cut short. */
  readonly value?: string | number | boolean | null
  readonly message: string
}

/**
 * An expected failure. `message` is for the caller; `cause` is for us and never leaves the process.
 * Anything else that is thrown is a bug and becomes INTERNAL.
 */
export class DarkroomError extends Error {
  readonly code: ErrorCode
  readonly problems: readonly Problem[]
  /** When asking again is of use; null: the usual time. */
  readonly retryAfterSeconds: number | null

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; problems?: readonly Problem[]; retryAfterSeconds?: number } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.name = 'DarkroomError'
    this.code = code
    this.problems = options.problems ?? []
    this.retryAfterSeconds = options.retryAfterSeconds ?? null
  }

  /** The only place where the unknown becomes known: itself, or INTERNAL with the text kept in `cause`. */
  static from(reason: unknown): DarkroomError {
    if (reason instanceof DarkroomError) return reason
    return new DarkroomError('INTERNAL', 'internal error', { cause: reason })
  }
}

/** For `catch`, where what is not there is an answer too. @throws whatever else it is given */
export function nullIfNotFound(reason: unknown): null {
  if (DarkroomError.from(reason).code === 'NOT_FOUND') return null
  throw reason
}
