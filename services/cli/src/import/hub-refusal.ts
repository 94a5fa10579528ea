import { DarkroomError } from '@darkroom/chassis'

/** Says what a hub's refusal means and what to do about it. Its x-error-code says more than its status. */
export function hubRefusal(
  { status, headers }: Response,
  name: string,
  endpoint: string,
  hasToken: boolean,
): DarkroomError {
  const code = headers.get('x-error-code')
  const repo = `${name} on ${endpoint}`
  if (code === 'GatedRepo')
    return new DarkroomError(
      'FORBIDDEN',
      `${repo} is gated: ask for access on ${endpoint}/${name}, then give your token by HF_TOKEN or --token`,
    )
  // The hub answers 401 for what does not exist as well, so that nobody learns of private repositories.
  if (status === 401 && !hasToken)
    return new DarkroomError(
      'NOT_FOUND',
      `${repo} is not there or private: look at the spelling, or give a token that may read it by HF_TOKEN or --token`,
    )
  if (status === 401)
    return new DarkroomError('UNAUTHENTICATED', `${repo}: the hub does not take the token, or ${name} is misspelt`)
  if (status === 403)
    return new DarkroomError('FORBIDDEN', `${repo}: the token may not read it; make one that may (HF_TOKEN or --token)`)
  if (code === 'RevisionNotFound')
    return new DarkroomError('NOT_FOUND', `${repo} has no such revision: look at its branches, tags and commits`)
  if (status === 404) return new DarkroomError('NOT_FOUND', `${repo} is not there: look at the spelling`)
  if (status === 429 || status >= 500)
    return new DarkroomError('STORE_UNAVAILABLE', `${repo}: the hub is busy or broken (${status}); try again later`)
  return new DarkroomError('INTERNAL', `${repo}: the hub answered with status ${status}`)
}
