import type { Farm } from './farm.ts'

const EXIT_INTERRUPTED = 130

/**
 * Runs something that holds a farm. Ctrl-C and SIGTERM abort its signal, so that it puts its farm away; a second one changes
 * nothing, since what is being put away must not be left half-way.
 */
export async function holdFarm(run: (stop: AbortSignal) => Promise<void>): Promise<void> {
  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort(new Error(`stopped by ${name}`)))
  try {
    await run(stop.signal)
  } catch (reason) {
    if (!stop.signal.aborted) {
      console.error(reason instanceof Error ? reason.message : reason)
      process.exitCode = 1
    }
  }
  if (stop.signal.aborted) process.exitCode = EXIT_INTERRUPTED
}

export function printUrls(farm: Farm): void {
  console.log(`\nthe farm is up; Ctrl-C ends it`)
  console.log(`  gateway   ${farm.gatewayUrl}   (OpenAPI: ${farm.gatewayUrl}/openapi.json)`)
  for (const [name, url] of Object.entries(farm.metricsUrls)) console.log(`  metrics   ${url}   ${name}`)
  console.log('  for the darkroom command in another terminal:')
  for (const [name, value] of Object.entries(farm.cliEnvironment)) console.log(`    export ${name}=${value}`)
}
