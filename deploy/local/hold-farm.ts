import { rmSync } from 'node:fs'
import { Farm } from './farm.ts'

const EXIT_INTERRUPTED = 130

/**
 * Starts a farm in a directory, runs something with it and puts it away, whatever happens. Ctrl-C and the like abort the
 * signal; a second one kills the processes that are still finishing what they hold.
 */
export async function holdFarm(
  options: {
    readonly directory: string
    /** Whether the directory goes too, unless something went wrong: then the logs stay. */
    readonly isTemporary: boolean
    /** Whether the end of a process that nobody stopped is the end of everything. */
    readonly isOverAtDeath: boolean
  },
  run: (farm: Farm, stop: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController()
  let started: Farm | null = null
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      process.exitCode ??= EXIT_INTERRUPTED
      if (stop.signal.aborted) return started?.killAll()
      console.log('\nstopping … (Ctrl-C again kills)')
      stop.abort()
    })
  }
  const onDeath = (message: string): void => {
    console.error(message)
    if (!options.isOverAtDeath) return
    process.exitCode = 1
    stop.abort()
  }
  try {
    console.log('starting a farm: nats-server, S3, coordinator, gateway, 2 workers …')
    await using farm = await Farm.start({ directory: options.directory, onDeath })
    started = farm
    if (!stop.signal.aborted) await run(farm, stop.signal)
  } catch (reason) {
    if (!stop.signal.aborted) {
      console.error(reason instanceof Error ? reason.message : reason)
      process.exitCode = 1
    }
  }
  if (process.exitCode === 1) console.error(`the logs are in ${options.directory}/logs`)
  else if (options.isTemporary) rmSync(options.directory, { recursive: true, force: true })
}

/** Says where everything is, and waits for the end. */
export async function keepFarm(farm: Farm, stop: AbortSignal): Promise<void> {
  console.log(`\nthe farm is up; Ctrl-C ends it`)
  console.log(`  gateway   ${farm.gatewayUrl}   (OpenAPI: ${farm.gatewayUrl}/openapi.json)`)
  for (const [name, url] of Object.entries(farm.metricsUrls)) console.log(`  metrics   ${url}   ${name}`)
  console.log('  for the darkroom command in another terminal:')
  for (const [name, value] of Object.entries(farm.cliEnvironment)) console.log(`    export ${name}=${value}`)
  if (!stop.aborted)
    await new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve(), { once: true }))
}
