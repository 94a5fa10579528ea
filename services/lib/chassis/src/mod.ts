export { DarkroomError, ERROR_CODES, isErrorCode } from './errors.ts'
export type { ErrorCode, Problem } from './errors.ts'
