import { DarkroomError } from './errors.ts'

/** sysexits.h EX_CONFIG. */
const EXIT_CONFIG = 78
const FORCED_EXIT_MS = 30_000
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const

/**
 * The whole life of a process: start, wait for SIGTERM or SIGINT, dispose, leave when the event loop is empty.
 * A second signal kills at once. What hangs for 30 s after the first is cut off with exit code 1.
 * An INVALID_CONFIG error prints every problem on a line of its own and exits with 78 before anything has started.
 */
export async function runService(start: (signal: AbortSignal) => Promise<AsyncDisposable>): Promise<void> {
  const stop = new AbortController()
  const onSignal = (name: string): void => {
    // Without a handler the next signal has its default effect: the end.
    for (const signal of STOP_SIGNALS) process.off(signal, onSignal)
    stop.abort(new DarkroomError('CANCELLED', `stopped by ${name}`))
    setTimeout(() => process.exit(1), FORCED_EXIT_MS).unref()
  }
  for (const signal of STOP_SIGNALS) process.on(signal, onSignal)
  try {
    await using _service = await start(stop.signal)
    await aborted(stop.signal)
  } catch (reason) {
    if (stop.signal.aborted && reason === stop.signal.reason) return
    report(reason)
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  // The timer keeps the event loop alive while the service waits on nothing but the signal.
  const keepAlive = setInterval(() => {}, 2 ** 30)
  return new Promise((resolve) =>
    signal.addEventListener(
      'abort',
      () => {
        clearInterval(keepAlive)
        resolve()
      },
      { once: true },
    ),
  )
}

function report(reason: unknown): void {
  const error = DarkroomError.from(reason)
  if (error.code === 'INVALID_CONFIG') {
    const lines = error.problems.map(({ field, message }) => `  ${field}: ${message}`)
    process.stderr.write(
      [error.problems.length > 0 ? 'the environment is not usable:' : error.message, ...lines, ''].join('\n'),
    )
    process.exitCode = EXIT_CONFIG
    return
  }
  const text =
    error.code === 'INTERNAL' && error.cause instanceof Error
      ? (error.cause.stack ?? String(error.cause))
      : `${error.code}: ${error.message}`
  process.stderr.write(`${text}\n`)
  process.exitCode = 1
  setTimeout(() => process.exit(1), FORCED_EXIT_MS).unref()
}
