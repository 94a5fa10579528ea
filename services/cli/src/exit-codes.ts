import { DarkroomError } from '@darkroom/chassis'

/** What the shell learns; after sysexits.h where it has a word. */
export const EXIT = { ok: 0, failed: 1, usage: 2, unavailable: 69, config: 78 } as const

export function exitCodeOf(error: DarkroomError): number {
  switch (error.code) {
    case 'COORDINATOR_UNAVAILABLE':
    case 'STORE_UNAVAILABLE':
    case 'NATS_UNAVAILABLE':
      return EXIT.unavailable
    case 'INVALID_CONFIG':
      return EXIT.config
    case 'INVALID_REQUEST':
    case 'NOT_FOUND':
    case 'UNAUTHENTICATED':
    case 'FORBIDDEN':
    case 'UNSUPPORTED_MEDIA_TYPE':
    case 'PAYLOAD_TOO_LARGE':
      return EXIT.usage
    default:
      return EXIT.failed
  }
}
