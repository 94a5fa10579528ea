import { DarkroomError } from '@darkroom/chassis'
import { Command } from 'commander'
import manifest from '../package.json' with { type: 'json' }
import { CommandContext } from './command-context.ts'
import type { GlobalOptions } from './command-context.ts'
import { addAudit } from './commands/audit.ts'
import { addCancel } from './commands/cancel.ts'
import { addCheckpoints } from './commands/checkpoints.ts'
import { addCompletion } from './commands/completion.ts'
import { addControl } from './commands/control.ts'
import { addDownload } from './commands/download.ts'
import { addContactSheet } from './commands/contact-sheet.ts'
import { addExplain } from './commands/explain.ts'
import { addKeys } from './commands/keys.ts'
import { addLedger } from './commands/ledger.ts'
import { addList } from './commands/list.ts'
import { addLogin } from './commands/login.ts'
import { addReplay } from './commands/replay.ts'
import { addRetry } from './commands/retry.ts'
import { addSimulate } from './commands/simulate.ts'
import { addStatus } from './commands/status.ts'
import { addSubmit } from './commands/submit.ts'
import { addVerify } from './commands/verify.ts'
import { addWatch } from './commands/watch.ts'
import { addWorkers } from './commands/workers.ts'
import { EXIT, exitCodeOf } from './exit-codes.ts'
import { problemLines } from './problem-lines.ts'

type Environment = Readonly<Record<string, string | undefined>>

function createProgram(environment: Environment): Command {
  const program = new Command('darkroom')
    .description('a render farm for diffusion models')
    .version(manifest.version)
    .option('--json', 'print JSON')
    .option(
      '-g, --gateway <url>',
      'the gateway; default $DARKROOM_GATEWAY_URL, the context of darkroom login, or http://127.0.0.1:8080',
    )
    .showHelpAfterError('(darkroom --help shows every command)')
    .addHelpText(
      'after',
      '\nExit codes: 0 all is well; 1 items or images failed or were cancelled, or verify found violations; 2 wrong usage, or the request was refused; 69 gateway, coordinator or store away; 78 the environment is not usable',
    )
  program.exitOverride((reason) => {
    process.exitCode = reason.exitCode === 0 ? EXIT.ok : EXIT.usage
    throw reason
  })
  const context = (): CommandContext => new CommandContext(program.opts<GlobalOptions>(), environment)
  for (const add of [
    addSubmit,
    addStatus,
    addWatch,
    addList,
    addControl,
    addExplain,
    addCancel,
    addRetry,
    addDownload,
    addContactSheet,
    addCheckpoints,
    addWorkers,
    addLedger,
    addVerify,
    addReplay,
    addSimulate,
    addLogin,
    addKeys,
    addAudit,
    addCompletion,
  ])
    add(program, context)
  return program
}

/** Runs a command line; what goes wrong is said on standard error and in the exit code. */
export async function runProgram(args: readonly string[], environment: Environment): Promise<void> {
  const program = createProgram(environment)
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (reason) {
    if (reason instanceof Error && 'exitCode' in reason && 'code' in reason) return
    const error = DarkroomError.from(reason)
    const text = error.code === 'INTERNAL' && error.cause instanceof Error ? error.cause.message : error.message
    if (program.opts<GlobalOptions>().json === true)
      console.error(JSON.stringify({ code: error.code, message: text, errors: error.problems }))
    else {
      console.error(`darkroom: ${text}`)
      for (const line of problemLines(error.problems)) console.error(line)
    }
    process.exitCode = exitCodeOf(error)
  }
}
