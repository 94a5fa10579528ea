import rateLimit from '@fastify/rate-limit'
import { DarkroomError } from '@darkroom/chassis'
import type { App } from '../http/app.ts'
import { termsOf } from './tenants.ts'
import type { Tenants } from './tenants.ts'

/**
 * Holds tenants to their requests a minute, as this gateway sees them: behind a load balancer each gateway counts for itself.
 * Answers carry RateLimit headers (IETF draft), a refusal Retry-After too.
 */
export async function limitRates(app: App, tenants: Tenants): Promise<void> {
  if (tenants.values().every(({ requestsPerMinute }) => requestsPerMinute === null)) return
  await app.register(rateLimit, {
    timeWindow: '1 minute',
    enableDraftSpec: true,
    keyGenerator: ({ caller }) => caller?.tenant ?? '',
    allowList: ({ caller }) => caller === null || termsOf(tenants, caller.tenant).requestsPerMinute === null,
    max: ({ caller }) => termsOf(tenants, caller?.tenant ?? '').requestsPerMinute ?? Infinity,
    errorResponseBuilder: ({ caller }, { max, after }) =>
      new DarkroomError(
        'TOO_MANY_REQUESTS',
        `tenant ${caller!.tenant} may ask ${max} times a minute: go on in ${after}`,
      ),
  })
}
