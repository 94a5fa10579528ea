import type { ProblemDetails } from '../http/problem.ts'

const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
}

/** Whether a request is in OpenAI's shapes. */
export function isOpenAiPath(url: string): boolean {
  return url.startsWith('/v1/')
}

/** A problem with the member that OpenAI's clients read besides it. */
export function withOpenAiError(problem: ProblemDetails) {
  const { status, detail, code, errors = [] } = problem
  const [first] = errors
  const message = errors.length === 0 ? detail : `${detail}: ${errors.map(sentence).join('; ')}`
  const type = TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error')
  return { ...problem, error: { message, type, param: first?.field ?? null, code: code.toLowerCase() } }
}

function sentence({ field, line, message }: NonNullable<ProblemDetails['errors']>[number]): string {
  const place = [line === undefined ? '' : `line ${line}`, field ?? ''].filter((part) => part !== '').join(', ')
  return place === '' ? message : `${place}: ${message}`
}
